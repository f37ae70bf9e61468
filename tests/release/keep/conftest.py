"""A home with a real MLflow store, toy bundles, and candidates with any verdict."""

from tests.support.projects import candidate, child, home, store

__all__ = ["candidate", "child", "home", "store"]
