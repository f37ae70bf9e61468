"""The pages of a run as one page, for viewers in which links to other files lead nowhere, such as MLflow's.

Links between the pages become links within it; a file that is no page is named instead of linked. Reads pages
that this room wrote.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

ONE_PAGE = "report.html"
"""Name of the page."""
_LINK = re.compile(r'<a href="(?P<to>[^"#:]+)">(?P<text>.*?)</a>', re.DOTALL)
_PLACE = re.compile(r'(?P<before>(?: id="|href="#))')
_BODY = re.compile(r"<body>(.*)</body>", re.DOTALL)


def one_page(folder: Path, first: str = "release.html") -> str | None:
    """The page `first` with all other pages of a folder below it; None where it is not there.

    Raises:
        OSError: a page can't be read.
    """
    if not (folder / first).is_file():
        return None
    others = sorted(
        path for path in folder.rglob("*.html") if path.name != ONE_PAGE and path != folder / first
    )
    places = {path.relative_to(folder).as_posix(): f"page-{number}" for number, path in enumerate(others, 1)}
    places[first] = "page-0"
    whole = (folder / first).read_text(encoding="utf-8")
    whole = whole.replace("<body>", '<body id="page-0">', 1)
    parts = [_linked(whole.replace("</body>", "").replace("</html>", ""), first, places)]
    for path in others:
        place = path.relative_to(folder).as_posix()
        body = _BODY.search(path.read_text(encoding="utf-8"))
        if body is None:
            continue
        inside = _PLACE.sub(lambda found, at=places[place]: f"{found['before']}{at}-", body[1])
        inside = _linked(inside, place, places)
        parts.append(
            f'<hr/><div id="{places[place]}"><p><a href="#page-0">Back to the top</a></p>{inside}</div>'
        )
    return "\n".join([*parts, "</body>\n</html>\n"])


def _linked(page: str, own: str, places: Mapping[str, str]) -> str:
    """A page whose links lead to the other pages' places."""

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(PurePosixPath(own).parent / html.unescape(found["to"]))
        if target in places:
            return f'<a href="#{places[target]}">{found["text"]}</a>'
        return f"{found['text']} (<code>report/{html.escape(target)}</code>)"

    return _LINK.sub(link, page)
