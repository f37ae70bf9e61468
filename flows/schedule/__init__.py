"""When flows run unattended: times, deployments on a Prefect server, and what came of past runs."""
