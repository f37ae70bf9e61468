"""Data Docs pages that fetch nothing and run nothing: the views that `great_expectations.yml` names.

Headgate copies this file into the context's `plugins/`, where Great Expectations finds it without Headgate.
It is not imported here.
"""

from __future__ import annotations

import re
from typing import Any

from great_expectations.render.view import DefaultJinjaIndexPageView, DefaultJinjaPageView

POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'\">"
)
"""Holds where a tag was overlooked: the browser then runs and fetches nothing."""


def offline(page: str) -> str:
    """The page without scripts, and without style sheets, pictures and links from elsewhere."""
    page = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL | re.IGNORECASE)
    page = re.sub(r"<link\b[^>]*>", "", page, flags=re.IGNORECASE)
    page = re.sub(r"<img\b[^>]*\bsrc=[\"']?https?:[^>]*>", "", page, flags=re.IGNORECASE)
    page = re.sub(r"url\(['\"]?https?:[^)]*\)", "none", page, flags=re.IGNORECASE)
    page = re.sub(r"<a\b[^>]*href=[\"']?https?:[^>]*>(.*?)</a>", r"\1", page, flags=re.DOTALL | re.IGNORECASE)
    page = re.sub(r"\son\w+=(\"[^\"]*\"|'[^']*')", "", page, flags=re.IGNORECASE)
    page = re.sub(r"<footer\b.*?</footer>", "", page, flags=re.DOTALL | re.IGNORECASE)
    return page.replace("<head>", f"<head>\n{POLICY}", 1)


class OfflinePage(DefaultJinjaPageView):  # type: ignore[misc]
    """A page of a suite or of results."""

    def render(self, document: Any, template: Any = None, **kwargs: Any) -> str:
        """The library's page, offline."""
        return offline(str(super().render(document, template, **kwargs)))


class OfflineIndex(DefaultJinjaIndexPageView):  # type: ignore[misc]
    """The page that lists the others."""

    def render(self, document: Any, template: Any = None, **kwargs: Any) -> str:
        """The library's page, offline."""
        return offline(str(super().render(document, template, **kwargs)))
