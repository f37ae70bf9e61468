"""A champion's profile under the names that its heads and labels have now: a new name alone moves nothing.

Knows profiles and renamings; does not know who consented to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expectations.contract.consent import Change
from model.spec import HeadSpec

_BY_LABEL = ("counts", "unknown")
"""Figures of a split that are kept by label."""


def under_present_names(
    champion: Mapping[str, Any], now: Mapping[str, HeadSpec], changes: Sequence[Change]
) -> dict[str, Any]:
    """The champion's profile, its heads and labels called as in today's data.

    A renaming counts as `expectations.contract.compare` counts it: only from a name that is gone to one that
    has come. Other changes are left alone; so are two labels that became one.

    Args:
        champion: `profile.json` of the data that the champion was trained on.
        now: heads of today's data, with labels.
        changes: what is consented to, and the renamings that the data speak for.
    """
    heads = dict(champion.get("heads") or {})
    for change in changes:
        gone = change.kind == "head renamed" and change.head in heads and change.head not in now
        if gone and change.after in now and change.after not in heads:
            heads[change.after] = heads.pop(change.head)
    for change in changes:
        if change.kind == "label renamed" and change.head in heads and change.head in now:
            then, labels = heads[change.head], now[change.head].labels
            gone = change.before in then["labels"] and change.before not in labels
            if gone and change.after in labels and change.after not in then["labels"]:
                heads[change.head] = _renamed(then, change.before, change.after)
    return {**champion, "heads": heads}


def _renamed(head: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    def names(by_label: Mapping[str, Any]) -> dict[str, Any]:
        return {new if label == old else label: value for label, value in by_label.items()}

    splits = {
        split: {**figures, **{key: names(figures[key]) for key in _BY_LABEL if figures.get(key)}}
        for split, figures in head["splits"].items()
    }
    return {**head, "labels": [new if one == old else one for one in head["labels"]], "splits": splits}
