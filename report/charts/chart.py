"""One chart: a matplotlib figure in the style of `headgate.mplstyle`, as SVG inside the page.

The page's style sheet gives every colour, so that a chart is light or dark as its page is. Text stays text,
in the page's font. The bytes depend on the figures alone. Does not know what is drawn.
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import blended_transform_factory

from report.charts.inline import inline_svg, xml_text
from report.page import palette

STYLE = Path(__file__).with_name("headgate.mplstyle")
"""Fonts, sizes, grid and colours of all charts."""
SHARED, BASELINE, PALER, PALEST = "series-1", "series-2", "series-3", "series-4"
"""Roles of the colours: the shared model or the first series; what it is compared with; further series."""
NARROWEST = 0.8
"""Share of its width that a chart keeps on a narrow screen; beyond it the reader scrolls."""
BESIDE = ("axes fraction", "data")
"""Coordinates of text beside the axes: 0 is their left edge and 1 their right one."""


@contextmanager
def chart(title: str, width: float, height: float, *, note: str = "") -> Iterator[Chart]:
    """An empty chart to draw on, with the style in force inside the block.

    Args:
        width: in points, each one CSS pixel at full size; the height, too.
        note: how to read it, in a sentence beside the title.
    """
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        # The page's fonts show the text; that matplotlib's own lacks a letter does not matter.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield Chart(title, width, height, note)


class Chart:
    """A figure, its title, and what is shown under the mouse. Made by `chart`."""

    def __init__(self, title: str, width: float, height: float, note: str) -> None:
        """Arguments as for `chart`."""
        self.title, self.note, self.width, self.height = title, note, width, height
        self.figure = Figure(figsize=(width / 72, height / 72))  # inches of 72 points
        self._hints: dict[str, str] = {}

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Axes that leave these margins, in points."""
        width, height = self.width - left - right, self.height - top - bottom
        sides = left / self.width, bottom / self.height, width / self.width, height / self.height
        return self.figure.add_axes(sides)

    def hint(self, artist: Artist, text: str) -> None:
        """Show `text` where the mouse rests on `artist`."""
        key = f"hint-{len(self._hints)}"
        artist.set_gid(key)
        self._hints[key] = text

    def write(
        self, axes: Axes, text: str, at: tuple[float, float], by: tuple[float, float], **style: Any
    ) -> None:
        """Small text `by` points from `at`, cut to `most` letters; the mouse shows a cut one in full.

        Args:
            style: `most`, `role` of the colour, and what `Axes.annotate` takes.
        """
        cut, ink = short(text, style.pop("most", 40)), colour(style.pop("role", "soft"))
        own: dict[str, Any] = {"fontsize": 10.5, "textcoords": "offset points", "va": "center_baseline"}
        shown = axes.annotate(cut, at, by, color=ink, **(own | style))
        if cut != text:
            self.hint(shown, text)

    def names(self, axes: Axes, places: Sequence[float], names: Sequence[str], most: int) -> None:
        """Names left of the axes, in place of the axis' own marks, each of which costs five artists."""
        axes.yaxis.set_visible(False)
        for place, name in zip(places, names, strict=True):
            self.write(axes, name, (0, place), (-8, 0), most=most, xycoords=BESIDE, ha="right", role="ink")

    def legend(self, axes: Axes) -> None:
        """Names of the series in one row above the axes, from the left edge on; nothing for a single one."""
        series = len(axes.get_legend_handles_labels()[1])
        if series > 1:
            edge = blended_transform_factory(self.figure.transFigure, axes.transAxes)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), bbox_transform=edge, ncols=series)

    def html(self) -> Markup:
        """The figure with its title and note, to be put into a page."""
        written = io.StringIO()
        # Neither time nor version: equal figures give equal bytes.
        self.figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
        colours = {light: f"var(--{role})" for role, light in palette().items()}
        title = xml_text(self.title)
        return Markup(
            '<figure><figcaption><strong>{}</strong> {}</figcaption><div class="chart">'
            '<svg viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" style="min-width: {:.0f}px" role="img"'
            ' aria-label="{}">{}</svg></div></figure>'
        ).format(
            *(title, self.note, self.width, self.height, self.width, NARROWEST * self.width, title),
            Markup(inline_svg(written.getvalue(), colours, self._hints)),
        )


def colour(role: str) -> str:
    """Light colour of a role, such as `ink`; the page puts its own in this place."""
    return palette()[role]


def marks(axis: Axis, write: Callable[[float], str], *, most: int = 5, whole: bool = False) -> MaxNLocator:
    """Put at most `most` round marks on an axis, whole numbers where `whole`; returns their locator."""
    places = MaxNLocator(most, steps=[1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10], integer=whole)
    axis.set_major_locator(places)
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    return places


def short(text: str, most: int) -> str:
    """`text` in one line of at most `most` letters' width, with an ellipsis where it was cut."""
    text = " ".join(xml_text(text).split())
    if letters(text) <= most:
        return text
    while letters(text) >= most:
        text = text[:-1]
    return text + "…"


def letters(text: str) -> int:
    """Width of `text` in letters; signs of East Asian scripts are two wide."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def room(names: Sequence[str], most: int) -> float:
    """Points that the longest of some names takes, cut to `most` letters."""
    return max(16 + 6.9 * min(max(map(letters, names), default=0), most), 60)
