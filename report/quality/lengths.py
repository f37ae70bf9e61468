"""The quality page's section on text lengths, in characters and in the model's tokens, and on what the model
reads of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from expectations.stats.divergence import rebin
from expectations.stats.reading import summed
from report.charts.histogram import histogram
from report.page import Section, grid, join, paragraph, section, table


def lengths_section(
    profile: Mapping[str, Any], champion: Mapping[str, Any] | None, token_lengths: Mapping[str, Any] | None
) -> Section:
    """A table and a histogram of each, with a line where the model cuts texts."""
    found = {split: known for split, known in profile["text_chars"].items() if known}
    rows = [
        (split, known["min"], round(known["median"]), round(known["p95"]), known["max"])
        for split, known in found.items()
    ]
    headers = ("Split", "Shortest", "Median", "95% up to", "Longest")
    characters: list[object] = [table(headers, rows, numeric={1, 2, 3, 4}, caption="Characters")]
    now, then = _histogram(found), _histogram((champion or {}).get("text_chars") or {})
    if now is not None:
        title = "Length in characters, all splits"
        characters.append(histogram(title, *now, unit="characters", then=then))
    cards = [join(*characters)]
    if token_lengths is not None:
        cards.append(_tokens(token_lengths))
        cards += _read(token_lengths)
    return section("Text length", grid(cards))


def _tokens(token_lengths: Mapping[str, Any]) -> Markup:
    limit = int(token_lengths["max_length"])
    splits = token_lengths["splits"]
    rows = [
        (
            split,
            *(None if known.get(name) is None else round(known[name]) for name in ("median", "p95", "max")),
            known["truncated"],
            f"{known['truncated'] / known['rows']:.1%}" if known["rows"] else None,
        )
        for split, known in splits.items()
    ]
    headers = ("Split", "Median", "95% up to", "Longest", f"Cut at {limit:,}", "Share cut")
    parts: list[object] = [
        table(headers, rows, numeric={1, 2, 3, 4, 5}, caption=f"Tokens, of which the model reads {limit:,}")
    ]
    drawn = _histogram(splits)
    if drawn is not None:
        mark = {f"cut at {limit:,}": float(limit)}
        parts.append(histogram("Length in tokens, all splits", *drawn, unit="tokens", marks=mark))
    return join(*parts)


def _read(token_lengths: Mapping[str, Any]) -> Iterator[Markup]:
    """What the encoder does not know, by split and by source; nothing where that was not counted."""
    if "unknown_token" not in token_lengths:
        return
    if not token_lengths["unknown_token"]:
        yield paragraph("To this encoder each byte is a token of its own: it has no unknown words.")
        return
    sources = token_lengths["sources"] if len(token_lengths["sources"]) > 1 else {}
    found = {**token_lengths["splits"], **{name: summed(splits) for name, splits in sources.items()}}
    rows = [
        (
            place,
            known["tokens"],
            known["unknown"],
            f"{known['unknown'] / known['tokens']:.1%}" if known["tokens"] else None,
            known["unread"],
            f"{known['truncated'] / known['rows']:.1%}" if known["rows"] else None,
        )
        for place, known in found.items()
    ]
    headers = ("Tokens", "Unknown", "Share unknown", "Texts without a known one", "Texts cut")
    place = "Split or source" if sources else "Split"
    yield table(
        (place, *headers), rows, numeric=set(range(1, 6)), caption="Tokens that the encoder does not know"
    )


def _histogram(splits: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    """Edges and counts summed over splits, without empty bins at the ends; None where none has one."""
    found = [known["histogram"] for known in splits.values() if known and known.get("histogram")]
    if not found:
        return None
    edges = found[0]["edges"]
    counts = np.sum([rebin(one, edges) for one in found], axis=0)
    filled = np.flatnonzero(counts)
    if not filled.size:
        return edges, counts.tolist()
    first, last = int(filled[0]), int(filled[-1])
    return list(edges[first : last + 2]), counts[first : last + 1].tolist()
