"""The look of every report: one self-contained HTML page that fetches nothing and runs one script of its own.

All text is escaped, unless it is `Markup` already (made here, or by `report.charts`). The page's own content
security policy forbids requests, and all scripts but the one that sorts tables, which it names by its digest:
so a mistake in escaping does no harm. Does not know what is reported.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup, escape

from model.files import write_bytes

TEMPLATES = Path(__file__).with_name("templates")
"""Folder of the templates and of the style sheet."""

TONES: Mapping[str, str] = {
    **dict.fromkeys(("pass", "met", "deployed", "champion", "ok", "ready"), "good"),
    **dict.fromkeys(("warn", "warning", "tolerated", "inconclusive", "held"), "caution"),
    **dict.fromkeys(("fail", "not met", "critical", "rejected", "failed"), "bad"),
    **dict.fromkeys(("could not be evaluated", "error"), "broken"),
}
"""Outcome → tone of its badge; anything else is neutral. Each tone has a mark of its own beside its colour,
for print in black and white."""


SORTED_ROWS = 4
"""Fewest rows of a table that can be sorted."""
STACKED_COLUMNS = range(3, 10)
"""Numbers of columns of a table whose rows stand as cards on a phone."""


@dataclass(frozen=True, slots=True)
class Section:
    """One titled part of a page, listed in its table of contents."""

    title: str
    anchor: str
    html: Markup

    def __html__(self) -> str:
        """The part as it stands in a page."""
        return str(self.html)


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a reader goes from a page."""

    links: Sequence[tuple[str, str]] = ()
    """Title and relative path of each other page of the run."""
    next_step: object = ""
    """What the reader can do now."""


def badge(outcome: object, label: object = None) -> Markup:
    """A small pill: `outcome` sets the tone (see `TONES`), `label` the text where it is another one."""
    tone = TONES.get(str(outcome).lower(), "neutral")
    return Markup('<span class="badge {}">{}</span>').format(tone, outcome if label is None else label)


def cell_text(value: object) -> Markup:
    """How a table writes a value: thousands separated, four significant digits, `–` for none; a number that
    is not finite by its name."""
    if value is None:
        return Markup("–")
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, int):
        return Markup(f"{value:,}")
    if isinstance(value, float):
        if not math.isfinite(value):
            return escape(str(value))
        return Markup(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}")
    return escape(value)


def table(
    headers: Sequence[object],
    rows: Iterable[Sequence[object]],
    numeric: Collection[int] = (),
    *,
    caption: object = None,
    empty: str = "Nothing to list.",
    wide: Collection[int] = (),
) -> Markup:
    """A table. Columns in `numeric` (from 0) are right-aligned in figures of equal width; those in
    `wide` may wrap long words. Without rows, the sentence `empty` stands instead. Where scripts run, a table
    of `SORTED_ROWS` or more sorts by a click on a heading; on a phone the rows of one of `STACKED_COLUMNS`
    stand as cards."""
    rows = [list(row) for row in rows]
    stacked = len(headers) in STACKED_COLUMNS
    kinds = ["sortable"] * (len(rows) >= SORTED_ROWS) + ["stack"] * stacked
    marks = [
        Markup(' data-label="{}"').format(Markup(escape(header)).striptags()) if stacked else Markup("")
        for header in headers
    ]
    if not rows:
        return Markup('<p class="empty">{}</p>').format(empty)
    styles = [
        " ".join(name for name, at in (("num", numeric), ("wide", wide)) if column in at)
        for column in range(max(len(headers), *(len(row) for row in rows)))
    ]
    head = Markup("").join(
        Markup('<th class="{}" scope="col">{}</th>').format(style, header)
        for style, header in zip(styles, headers, strict=False)
    )
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td class="{}"{}>{}</td>').format(style, mark, cell_text(value))
                for style, mark, value in zip(styles, marks, row, strict=False)
            )
        )
        for row in rows
    )
    title = Markup("<caption>{}</caption>").format(caption) if caption is not None else Markup("")
    return Markup(
        '<div class="scroll"><table class="{}">{}<thead><tr>{}</tr></thead>'
        "<tbody>\n{}\n</tbody></table></div>"
    ).format(" ".join(kinds), title, head, body)


def breakable(name: str) -> Markup:
    """A long name, such as a file's, that may be broken after its `_`, `-`, `.`, `/`, `:` and before `[`."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_\-./:])|(?=\[)", name))


def section(title: str, html: object, *, lead: object = None) -> Section:
    """A part of the page under a heading; `lead` explains how to read it, in front of it."""
    anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
    opening = Markup('<p class="lead">{}</p>\n').format(lead) if lead is not None else Markup("")
    body = Markup('<section id="{}">\n<h2>{}</h2>\n{}{}\n</section>').format(anchor, title, opening, html)
    return Section(title, anchor, body)


def join(*parts: object) -> Markup:
    """Parts one under the other; strings are escaped."""
    return Markup("\n").join(escape(part) for part in parts)


def paragraph(text: object) -> Markup:
    """A paragraph of text."""
    return Markup("<p>{}</p>").format(text)


def subheading(text: object) -> Markup:
    """A heading inside a section."""
    return Markup("<h3>{}</h3>").format(text)


def grid(parts: Iterable[object]) -> Markup:
    """Charts or tables side by side, as many as fit."""
    return _cards("grid", parts)


def columns(parts: Iterable[object]) -> Markup:
    """Charts or tables of very different heights, in columns that are read downwards."""
    return _cards("columns", parts)


def _cards(kind: str, parts: Iterable[object]) -> Markup:
    cards = Markup("\n").join(Markup('<div class="card">{}</div>').format(part) for part in parts)
    return Markup('<div class="{}">{}</div>').format(kind, cards)


def folded(summary: object, html: object) -> Markup:
    """Something long behind a line that opens it; printed only where it is open."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, html)


def page(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    *,
    outcome: object = None,
    facts: Sequence[tuple[object, object]] = (),
    onward: Onward | None = None,
    footer: object = "",
) -> str:
    """The whole page as text, to be written as UTF-8.

    Args:
        outcome: the verdict, as a badge beside the title; another badge as `Markup`.
        facts: pairs (what, value) shown as tiles under the title.
        onward: the other pages of the run, above the title, and what the reader can do, under the subtitle.
        footer: last line, such as when and from what the page was made.
    """
    mark = outcome if outcome is None or isinstance(outcome, Markup) else badge(outcome)
    return template("page.html").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        outcome=mark,
        facts=[(what, cell_text(value)) for what, value in facts],
        links=() if onward is None else onward.links,
        next="" if onward is None else onward.next_step,
        footer=footer,
        script=Markup(script()),
        script_hash=Markup("'sha256-{}'").format(_sha256(script())),
        # A file of this project, not a user's text: it must not be escaped inside <style>.
        style=Markup(style_sheet()),
    )


def add_link(file: Path, title: str, path: str) -> None:
    """Put a link to another page, which was made later, on top of a page that has links there.

    Raises:
        OSError: the page can't be read or written.
    """
    html = file.read_text(encoding="utf-8")
    link = Markup('<a href="{}">{}</a>').format(path, title)
    if link not in html:
        write_bytes(file, html.replace(_PAGES, f"{_PAGES}\n{link}", 1).encode("utf-8"))


_PAGES = '<nav class="pages" aria-label="Pages of this run">'
"""Begins the links of a page."""


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """Rules of every page, with the colours of pages and charts."""
    return (TEMPLATES / "page.css").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def script() -> str:
    """The one script of every page: tables that sort and filter."""
    return (TEMPLATES / "page.js").read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    """As a content security policy names a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache(maxsize=1)
def palette() -> Mapping[str, str]:
    """Role of a colour, such as `ink` → its light value `#rrggbb`."""
    light = style_sheet().partition("@media")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))


@lru_cache(maxsize=8)
def template(name: str) -> Template:
    """A template of this folder, escaping by default and refusing names that were not given."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
