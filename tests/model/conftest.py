"""A tiny random encoder and rows made of nonsense words: seconds instead of minutes."""

from tests.support.tiny_models import make_rows, tiny_backbone, tiny_bundles, tiny_fitted, tiny_rows

__all__ = ["make_rows", "tiny_backbone", "tiny_bundles", "tiny_fitted", "tiny_rows"]
