"""A home with a real MLflow store, toy bundles, and candidates with any verdict."""

from tests.support.projects import candidate, child, child_environment, deploy_spec, home, store, write_bundle

__all__ = ["candidate", "child", "child_environment", "deploy_spec", "home", "store", "write_bundle"]
