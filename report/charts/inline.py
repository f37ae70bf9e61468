"""The SVG of matplotlib, made fit to stand inside a page.

It keeps shapes and text and drops what would act on the rest of the page or repeat in it: style sheets,
ids, links, clipping, fonts. Does not know what is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

LINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = frozenset(("metadata", "defs", "style"))
DEFAULTS = frozenset(("font-family", "stroke-linejoin", "stroke-linecap"))
"""Properties that the page sets for all charts."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER = re.compile(r"-?\d+\.\d+")
_UPRIGHT = re.compile(r"rotate\(-?0 [^)]*\)")


def inline_svg(svg: str, colours: Mapping[str, str], hints: Mapping[str, str]) -> str:
    """Content of the `svg` element.

    Args:
        svg: file as matplotlib writes it.
        colours: `#rrggbb` → what stands in its place.
        hints: id of a group → text that is shown under the mouse.
    """
    root = ElementTree.fromstring(svg)
    marks = {
        one.attrib["id"]: one.attrib["d"] for one in root.iter() if "id" in one.attrib and "d" in one.attrib
    }
    parts = (part for child in root for part in _kept(child, marks, colours, hints))
    return "".join(ElementTree.tostring(part, encoding="unicode") for part in parts)


def xml_text(text: str) -> str:
    """`text` with a replacement mark for every sign that XML can't hold."""
    return _NOT_XML.sub("\ufffd", text)


def _kept(
    element: ElementTree.Element,
    marks: Mapping[str, str],
    colours: Mapping[str, str],
    hints: Mapping[str, str],
) -> Iterator[ElementTree.Element]:
    """The element, or what is in it where it is a mere group."""
    tag = element.tag.rpartition("}")[2]
    if tag in DROPPED:
        return
    if tag == "g":
        found = [part for child in element for part in _kept(child, marks, colours, hints)]
        hint = hints.get(element.get("id", ""))
        for part in found if hint else ():
            ElementTree.SubElement(part, "title").text = xml_text(hint or "")
        yield from found
        return
    known = dict(element.attrib)
    kept = ElementTree.Element(tag)
    kept.text = element.text
    if tag == "use":
        kept.tag = "path"
        place = f"translate({known.pop('x')} {known.pop('y')})"
        known |= {"d": marks[known.pop(LINK)[1:]], "transform": place}
    for name in ("d", "x", "y", "transform"):
        written = _UPRIGHT.sub("", " ".join(known.get(name, "").split()))
        if written:
            kept.set(
                name, _NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), written)
            )
    style = _style(known.get("style", ""), colours)
    if style:
        kept.set("style", style)
    yield kept


def _style(style: str, colours: Mapping[str, str]) -> str:
    declared = [part.partition(": ") for part in style.split("; ") if part]
    return "; ".join(
        f"{name}: {colours.get(value, value)}" for name, _, value in declared if name not in DEFAULTS
    )
