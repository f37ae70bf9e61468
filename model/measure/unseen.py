"""The rows that a head was fitted on, kept beside the fitted model, and how many there are since.

A row is known by the first 64 bits of its text's digest, its target and its weight. Does not know what
follows from new rows, nor where models are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from ..rows import open_rows
from ..spec import HeadSpec, SplitName

LEARNED: tuple[SplitName, ...] = ("train", "validation")
"""Validation rows choose epoch, temperatures and thresholds."""
Rows = Mapping[str, NDArray[Any]]
"""By split S, of the rows that are labelled for the head: `S` uint64 (N,), the rising numbers of their texts,
`S targets` (N,) or (N, L), and `S weights` (N,)."""


def learned_rows(folder: Path, name: str, head: HeadSpec) -> Rows:
    """The rows of a rows folder that a model of one head learns from.

    Raises:
        model.errors.BadInput: the folder is not one that holds the head.
    """
    rows, found = open_rows(folder, {name: head}), dict[str, NDArray[Any]]()
    for split in LEARNED:
        part = rows.split(split, {name: head})
        labelled = part.labelled(name)
        ids = np.fromiter(map(_number, part.texts()), np.uint64, part.count)[labelled]
        order = np.argsort(ids)
        found[split] = ids[order]
        found[f"{split} targets"] = part.targets[name][labelled][order]
        found[f"{split} weights"] = part.weights[labelled][order]
    return found


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def write_seen(rows: Rows, file: Path) -> None:
    """Write them to a file."""
    with replacing(file) as stream:
        np.savez(stream, allow_pickle=False, **rows)


def unseen_shares(seen: Path, now: Rows, head: HeadSpec) -> dict[str, float] | None:
    """Label → share of its rows `now` that are not in the file `seen`, and at least that of all rows.

    None where one of that file was taken away, has another target or weight or lies in another split, or it
    can't be read: nothing follows for a model that was fitted on those.
    """
    try:
        with np.load(seen, allow_pickle=False) as arrays:
            before = {key: np.asarray(arrays[key]) for key in now}
    except (OSError, ValueError, KeyError, EOFError):
        return None
    if not all(_holds(now, before, split) for split in LEARNED):
        return None
    of_all = 1 - _count(before) / max(1, _count(now))
    ours, theirs = (_by_label(rows, head) for rows in (now, before))
    own = 1 - theirs / np.maximum(ours, 1)
    return dict(zip(head.labels, np.where(ours > 0, np.maximum(own, of_all), of_all).tolist(), strict=True))


def most_unseen(shares: Mapping[str, float], now: Rows, head: HeadSpec) -> float:
    """The larger of the means of `shares` over labels and over the rows that each applies to: a metric may
    count the one or the other."""
    of_label = [shares[label] for label in head.labels]
    counts = _by_label(now, head)
    return max(float(np.mean(of_label)), float(np.average(of_label, weights=np.maximum(counts, 1e-9))))


def _holds(now: Rows, before: Rows, split: SplitName) -> bool:
    """Whether every row of before is there, as it was."""
    at = np.searchsorted(now[split], before[split])
    if not (at < now[split].size).all():
        return False
    parts = (split, f"{split} targets", f"{split} weights")
    return all(np.array_equal(now[part][at], before[part]) for part in parts)


def _count(rows: Rows) -> int:
    return sum(rows[split].size for split in LEARNED)


def _by_label(rows: Rows, head: HeadSpec) -> NDArray[np.int64]:
    """(L,) rows to which each label applies."""
    targets = np.concatenate([rows[f"{split} targets"] for split in LEARNED])
    if head.kind == "multilabel":
        return np.asarray((targets == 1).sum(axis=0), np.int64)
    return np.bincount(targets, minlength=len(head.labels))
