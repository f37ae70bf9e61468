"""What a browser would act on in a page: every tag, and whether any of them runs or fetches something."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser

from report.page import script

HOSTILE = "<img src=x onerror=alert(1)>\"'&"


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and whether all that need it are closed."""

    VOID = frozenset({"meta", "br", "wbr", "img", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def without_own_script(html: str) -> str:
    """The page without the one script that all pages have, which its policy has to name."""
    begin, text, end = html.partition(f"<script>{script()}</script>")
    if text:
        digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'\">" in begin, "the policy allows another script, or none"
    return begin + end


def assert_inert(html: str) -> None:
    """No script but the page's own, no handler, nothing fetched."""
    html = without_own_script(html)
    for tag, attributes in tags(html).found:
        assert tag not in {"script", "iframe", "object", "embed", "link", "img", "form", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert not str(attributes.get("href", "#")).startswith(("http", "//", "javascript"))
