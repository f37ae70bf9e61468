"""Tasks that show: pages and Prefect artifacts."""
