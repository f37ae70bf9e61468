"""Load Great Expectations as far as judging needs it, and what is asked of every result.

One of its expectations draws charts, with a library that takes a fifth of the time of loading all. It is
loaded when a chart is drawn. Does not evaluate.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

CHARTS = "altair"
COUNTS_ONLY = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
"""Of results: none of the values that were found. Texts must not travel into results or pages."""


def load_library() -> None:
    """Import all of the library that `expectations.data` needs; once it is loaded, this costs nothing."""
    finder = _LateCharts()
    sys.meta_path.insert(0, finder)
    try:
        import great_expectations
        from great_expectations.expectations import core
        from great_expectations.render.renderer import page_renderer
        from great_expectations.render.view import view
    finally:
        sys.meta_path.remove(finder)
    assert great_expectations and core and page_renderer and view


class _LateCharts(MetaPathFinder):
    """Finds the library of charts so that its code runs when something of it is first asked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Its place; None for any other module."""
        if fullname != CHARTS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
