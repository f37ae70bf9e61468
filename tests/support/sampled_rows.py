"""Rows folders cut to so many rows of each head, drawn by a seed. Does not know what is trained on them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.rows import RowsFolder, open_rows
from model.spec import SPLITS, SplitName

Budget = Mapping[str, Mapping[str, int]]
"""Split → head → most labelled rows that are kept."""


def sampled_rows(rows: Path, budget: Budget, *, seed: int, out: Path) -> Path:
    """A rows folder at `out` with at most so many labelled rows of each head, drawn with `seed`.

    A folder that is there already is taken as it is.
    """
    if (out / "rows.json").is_file():
        return out
    whole = open_rows(rows)
    out.mkdir(parents=True, exist_ok=True)
    counts, digests = {}, {}
    for split in SPLITS:
        keep = _drawn(whole, split, budget[split], seed)
        part = whole.split(split)
        lines = [json.dumps(text, ensure_ascii=False) for text in compress(part.texts(), keep.tolist())]
        content = "".join(line + "\n" for line in lines).encode()
        (out / f"{split}.texts.jsonl").write_bytes(content)
        counts[split], digests[split] = len(lines), hashlib.sha256(content).hexdigest()
        np.save(out / f"{split}.weight.npy", part.weights[keep])
        for head, targets in part.targets.items():
            np.save(out / f"{split}.{head}.npy", targets[keep])
    about = {"heads": {n: asdict(h) for n, h in whole.heads.items()}, "rows": counts, "digest": digests}
    (out / "rows.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    return out


def heads_that_draw(rows: RowsFolder) -> list[str]:
    """The heads for which rows are drawn; the others label texts of these and get what comes with them.

    Heads of one corpus would otherwise each draw rows that all of them learn from. In the order of their
    labelled training rows, a head draws unless heads before it label more than half of its rows.
    """
    part = rows.split("train")
    labelled = {head: part.labelled(head) for head in rows.heads}
    taken, drawing = np.zeros(part.count, bool), []
    for head in sorted(labelled, key=lambda name: -int(labelled[name].sum())):  # stable: as declared
        mine = labelled[head]
        if (mine & taken).sum() <= mine.sum() / 2:
            drawing.append(head)
            taken |= mine
    return drawing


def share_budget(rows: RowsFolder, share: float, *, test_rows: int) -> Budget:
    """That share of every drawing head's training and validation rows, so that sizes keep their proportions;
    at most `test_rows` of each for testing."""
    return {
        split: {
            head: test_rows if split == "test" else math.ceil(share * int(part.labelled(head).sum()))
            for head in heads_that_draw(rows)
        }
        for split in SPLITS
        for part in [rows.split(split)]
    }


def _drawn(rows: RowsFolder, split: SplitName, budget: Mapping[str, int], seed: int) -> NDArray[np.bool_]:
    part = rows.split(split)
    keep = np.zeros(part.count, np.bool_)
    for number, (head, most) in enumerate(sorted(budget.items())):
        found = np.flatnonzero(part.labelled(head))
        rng = np.random.default_rng([seed, SPLITS.index(split), number])
        keep[rng.permutation(found)[:most]] = True
    return keep
