"""How many rows a head has now beside those that the champion was trained on: figures of the data gate.

Knows profiles; does not know what is too few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def rows_against(
    profile: Mapping[str, Any], champion: Mapping[str, Any] | None
) -> tuple[dict[str, float], dict[str, str]]:
    """(Figures, end of the sentence about each): `rows_against_champion:HEAD`, labelled rows of all splits
    now by those of the champion's data. A figure is missing where the champion does not answer the head.

    Args:
        profile: `profile.json` of the dataset.
        champion: that of the data that the champion was trained on; none where there is no champion.
    """
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    for head, known in profile["heads"].items():
        former = ((champion or {}).get("heads") or {}).get(head)
        then = _labelled(former) if former else 0
        if then:
            now = _labelled(known)
            figures[f"rows_against_champion:{head}"] = now / then
            notes[f"rows_against_champion:{head}"] = f": {now:,} labelled rows of `{head}` now, {then:,} then"
    return figures, notes


def _labelled(head: Mapping[str, Any]) -> int:
    return sum(int(figures.get("labelled") or 0) for figures in (head.get("splits") or {}).values())
