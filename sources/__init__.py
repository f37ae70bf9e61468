"""*Gather*: read every format, find each head's targets, merge into one dataset, split, profile.

Knows tables and files. Does not know tensors, Prefect, MLflow or Great Expectations.
"""
