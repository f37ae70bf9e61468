"""Pieces of inline SVG: text, lines, boxes, and the figure around them. All text is escaped.

Coordinates are in the chart's own units; the picture scales with its box. Knows no data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

INK, SOFT, LINE, AXIS = "#1b2430", "#5b6675", "#e2e6ec", "#9aa5b1"
"""Colours of text, of secondary text, of grid lines and of axes, as in the page's style sheet."""
SERIES = ("#2b5c8a", "#e0a030", "#4f9d7c", "#8a5a9e", "#b4564f", "#7f8c9a")
"""Colours of the first, second … series; the first two differ in brightness too, for print."""


def figure(width: float, height: float, title: str, parts: Iterable[Markup], caption: str = "") -> Markup:
    """The picture with its title for screen readers and, optionally, a caption under it."""
    note = Markup("<figcaption>{}</figcaption>").format(caption) if caption else Markup("")
    # A width of its own keeps a chart that is alone in its row from being blown up.
    opening = Markup('<svg viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" role="img" aria-label="{}">').format(
        width, height, width, title
    )
    return Markup("<figure>{}{}</svg>{}</figure>").format(opening, Markup("").join(parts), note)


def text(
    words: str,
    x: float,
    y: float,
    *,
    anchor: str = "start",
    size: float = 11,
    fill: str = INK,
    weight: int = 400,
    turn: float = 0,
    hint: str = "",
) -> Markup:
    """Words at a point; `turn` in degrees around it; `hint` is shown under the mouse."""
    return Markup(
        '<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}" fill="{}" font-weight="{}"{}>{}{}</text>'
    ).format(
        x,
        y,
        anchor,
        size,
        fill,
        weight,
        Markup(' transform="rotate({:.0f} {:.1f} {:.1f})"').format(turn, x, y) if turn else Markup(""),
        words,
        _hint(hint),
    )


def line(
    x1: float, y1: float, x2: float, y2: float, stroke: str = LINE, *, width: float = 1, dashes: str = ""
) -> Markup:
    """A straight line."""
    return Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="{}"'
        ' stroke-dasharray="{}"/>'
    ).format(x1, y1, x2, y2, stroke, width, dashes or "none")


def path(points: Sequence[tuple[float, float]], stroke: str, *, width: float = 1.8) -> Markup:
    """A line through points."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup(
        '<polyline points="{}" fill="none" stroke="{}" stroke-width="{}" stroke-linejoin="round"/>'
    ).format(places, stroke, width)


def rect(x: float, y: float, width: float, height: float, fill: str, hint: str = "") -> Markup:
    """A filled box."""
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" rx="1">{}</rect>'
    ).format(x, y, width, height, fill, _hint(hint))


def dot(x: float, y: float, radius: float, fill: str, hint: str = "", *, hollow: bool = False) -> Markup:
    """A disc, or a ring."""
    return Markup(
        '<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}" stroke="{}" stroke-width="1.8">{}</circle>'
    ).format(x, y, radius, "#ffffff" if hollow else fill, fill, _hint(hint))


def legend(fills: Sequence[tuple[str, str]], x: float, y: float) -> Markup:
    """Names beside boxes in their colours, in one row; nothing for a single series."""
    parts = []
    for name, fill in fills if len(fills) > 1 else ():
        parts += [rect(x, y - 9, 10, 10, fill), text(name, x + 14, y, size=11, fill=SOFT)]
        x += 32 + 6.4 * len(name)
    return Markup("").join(parts)


def short(words: str, most: int) -> str:
    """Words cut to `most` characters, with an ellipsis."""
    return words if len(words) <= most else words[: most - 1] + "…"


def _hint(words: str) -> Markup:
    return Markup("<title>{}</title>").format(words) if words else Markup("")
