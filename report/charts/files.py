"""The charts of a page as files of their own, for whoever shows them elsewhere.

Reads them from the page, so that a file never differs from what the page shows. Does not draw.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from model.files import write_bytes
from report.page import palette

PLOTS = "plots"
"""Folder of the files, beside the page."""
_FIGURE = re.compile(
    r"<figure><figcaption><strong>(?P<title>.*?)</strong>.*?<svg (?P<attributes>[^>]*)>(?P<drawn>.*?)</svg>",
    re.DOTALL,
)
_ROLE = re.compile(r"var\(--([\w-]+)\)")


def chart_files(page: str) -> dict[str, str]:
    """File name → SVG of each chart of a page, in its order: `01-loss-by-step.svg`."""
    return dict(_charts(page, palette()))


def write_charts(page: str, folder: Path) -> None:
    """Write the charts of a page as files into `folder`/`PLOTS`.

    Raises:
        OSError: they can't be written.
    """
    found = chart_files(page)
    if found:
        (folder / PLOTS).mkdir(exist_ok=True)
    for name, svg in found.items():
        write_bytes(folder / PLOTS / name, svg.encode())


def _charts(page: str, colours: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for number, found in enumerate(_FIGURE.finditer(page), start=1):
        title = html.unescape(found["title"])
        word = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "chart"
        drawn = _ROLE.sub(lambda role: colours.get(role[1], "#000"), found["drawn"])
        attributes = re.sub(r' style="[^"]*"', "", found["attributes"])
        yield (
            f"{number:02}-{word}.svg",
            f'<svg xmlns="http://www.w3.org/2000/svg" {attributes} font-family="sans-serif">'
            f'<rect width="100%" height="100%" fill="#ffffff"/>{drawn}</svg>\n',
        )
