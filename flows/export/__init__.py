"""`headgate export`: the heads of a version as plain classifiers of transformers."""
