"""Real rows for benchmarks: a ready configuration's sources, merged, then cut to so many rows a head.

Reads the folder that HEADGATE_DATA names. Does not know what is trained on them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.config.load import load_project
from model.rows import RowsFolder, open_rows
from model.spec import SPLITS, SplitName
from sources.dataset import build_dataset

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

Budget = Mapping[str, Mapping[str, int]]
"""Split → head → most labelled rows that are kept."""


def merged_rows(config: str, out: Path) -> Path:
    """The rows folder of `configs/<config>.yaml`, made below `out` where it is not there yet.

    Raises:
        SystemExit: HEADGATE_DATA names no folder; the message says what to do.
    """
    folder = os.environ.get("HEADGATE_DATA", "")
    if not Path(folder).is_dir() or not folder:
        raise SystemExit(
            "HEADGATE_DATA must name the folder with the real data sets (see configs/feelings.yaml): "
            "export HEADGATE_DATA=/path/to/data"
        )
    path = CONFIGS / f"{config}.yaml"
    project = load_project(path)
    data = build_dataset(dict(project.sources), dict(project.heads), project.split, path.parent, out)
    return Path(data.path) / "rows"


def sampled_rows(rows: Path, budget: Budget, *, seed: int, out: Path) -> Path:
    """A rows folder at `out` with at most so many labelled rows of each head, drawn with `seed`.

    The same seed draws the same rows. A folder that is there already is taken as it is.
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
    """The heads for which rows are drawn; the others label the same texts and get what comes with them.

    Heads of one corpus would otherwise each draw rows that all of them learn from. In the order of their
    labelled training rows, a head draws unless heads before it label more than half of its rows.
    """
    part = rows.split("train")
    labelled = {head: part.labelled(head) for head in rows.heads}
    taken, drawing = np.zeros(part.count, bool), []
    for head in sorted(labelled, key=lambda name: -int(labelled[name].sum())):  # stable: as declared
        own = labelled[head]
        if (own & taken).sum() <= own.sum() / 2:
            drawing.append(head)
            taken |= own
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
        random = np.random.default_rng([seed, SPLITS.index(split), number])
        keep[random.permutation(found)[:most]] = True
    return keep
