"""What Prefect's pages show of a run: its name, its progress, how it ended."""
