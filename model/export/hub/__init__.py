"""A bundle's heads as stock classifiers of transformers, with a model card each."""
