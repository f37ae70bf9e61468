"""*Judge*: data expectations and release gates; statistics are pure functions of arrays.

Knows arrays, tables and thresholds. Does not know tensors, Prefect or MLflow.
"""
