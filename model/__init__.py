"""*Measure*: heads, data encoding, network, losses, training, export, the bundle, metrics, timing.

Knows tensors and files. Does not know Prefect, MLflow, Great Expectations or HTTP.
"""
