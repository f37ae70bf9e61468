"""What MLflow shows of a flow while it runs and afterwards: its run, its trainings, its data, its figures."""
