"""*Order*: what happens after what, for which configuration; the command line.

Knows tasks and the spec dataclasses. Does not know tensors, MLflow calls or Great Expectations.
"""
