"""How much of the texts the encoder reads: figures of the data gate, of each head and of the worst source.

Knows the counts that `model.jobs.prepare` makes. Does not know tokenizers, nor what is tolerated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

FEWEST_TEXTS = 20
"""Texts of a head in a split, or of a source, from which a share says something."""

Counts = Mapping[str, int]
"""`rows`, `truncated`, `tokens`, `unknown` and `unread` of some texts."""
Share = Callable[[Counts], float]
Told = Callable[[Counts], str]


def reading_figures(counted: Mapping[str, Any] | None) -> tuple[dict[str, float], dict[str, str]]:
    """(Figures, end of the sentence about each).

    `truncation:HEAD` and `unknown_tokens:HEAD` are shares in the split where they are largest: a test split
    of another language would hide in the whole. `source_truncation` and `source_unknown_tokens` are those of
    the source where they are largest. A figure is missing where there are too few texts, and where nothing
    was counted.

    Args:
        counted: as for `expectations.data.gate.judge_data`.
    """
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}

    def worst(name: str, places: Mapping[str, Counts], share: Share, where: str, told: Told) -> None:
        shares = {place: share(counts) for place, counts in places.items()}
        if shares:
            place = max(shares, key=lambda one: shares[one])
            figures[name] = shares[place]
            notes[name] = f" ({where.format(place)} {told(places[place])})"

    heads = (counted or {}).get("heads", {})
    for head, splits in heads.items():
        places = {split: one for split, one in splits.items() if one["rows"] >= FEWEST_TEXTS}
        worst(f"truncation:{head}", places, _truncated, "of the {} texts", _told_truncated)
        worst(f"unknown_tokens:{head}", places, _unknown, "in the {} texts", _told_unknown)
    sources = {source: summed(splits) for source, splits in (counted or {}).get("sources", {}).items()}
    sources = {source: one for source, one in sources.items() if one["rows"] >= FEWEST_TEXTS}
    if len(sources) > 1:
        worst("source_truncation", sources, _truncated, "in source {}", _told_truncated)
        worst("source_unknown_tokens", sources, _unknown, "in source {}", _told_unknown)
    return figures, notes


def summed(splits: Mapping[str, Counts]) -> dict[str, int]:
    """The counts of all splits together."""
    names = ("rows", "truncated", "tokens", "unknown", "unread")
    return {name: sum(counts[name] for counts in splits.values()) for name in names}


def _truncated(counts: Counts) -> float:
    return counts["truncated"] / counts["rows"]


def _unknown(counts: Counts) -> float:
    return counts["unknown"] / max(counts["tokens"], 1)


def _told_truncated(counts: Counts) -> str:
    return f"{counts['truncated']:,} of {counts['rows']:,}"


def _told_unknown(counts: Counts) -> str:
    return (
        f"{counts['unknown']:,} of {counts['tokens']:,} tokens, and {counts['unread']:,} of "
        f"{counts['rows']:,} texts hold no other"
    )
