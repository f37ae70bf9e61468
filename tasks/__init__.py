"""*Act*: one Prefect task a file, thin; files, MLflow, the endpoint.

Knows every layer below. Does not know the order of things: that is `flows`.
"""
