"""Cut a head's training rows into folds, and put the folds' answers together again.

Knows files and digests; how rows are dealt out and filled in is for `model.folds`, who answers for `flows`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from report.progress import Step

from ..code import code_digest
from ..digest import digest
from ..faults import fault
from ..folds import deal_folds, fill_in, write_fold
from ..rows import open_rows
from ..spec import SplitName


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRef:
    """One fold of a head's training rows, as a rows folder whose test split is to be answered."""

    rows: Path
    number: int
    """From 0."""
    fingerprint: str
    """Digest of the rows of this fold and of those beside it: what a model of it depends on."""
    positions: str
    """`.npy` file: which training rows the fold's test split holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersRef:
    """A baseline's logits for rows of one split."""

    split: SplitName
    logits: str
    """`.npy` file (N, L)."""
    seen: bool = False
    """Whether the model was trained on these rows."""
    positions: str | None = None
    """`.npy` file (N,): which rows of the split; none for all."""


def split_sha256(rows: Path, split: SplitName) -> str:
    """Digest of a split's texts in their order."""
    return digest(json.loads((rows / "rows.json").read_text())["digest"][split])


@task(name="cut-folds", cache_policy=NO_CACHE, task_run_name="cut-folds-{name}")
def cut_folds(name: str, *, rows: Path, fingerprint: str, folds: int, seed: int, out: Path) -> list[FoldRef]:
    """The folds of a head's labelled training rows, as rows folders below `out`; those that are there
    already are taken as they are.

    `fingerprint` stands for the rows of the head.

    Raises:
        model.errors.BadInput: there are fewer labelled rows than folds.
    """
    whole = open_rows(rows)
    fold = deal_folds(whole.split("train", {name: whole.heads[name]}), name, folds, seed)
    found = []
    for number in range(folds):
        key = digest("fold", fingerprint, folds, seed, number)
        folder = out / f"{name}-{key[:16]}"
        positions = folder / "positions.npy"
        if not positions.is_file():
            write_fold(whole, name, fold, number, folder)
            np.save(positions, np.flatnonzero(fold == number))
        found.append(FoldRef(rows=folder, number=number, fingerprint=key, positions=str(positions)))
    return found


@task(name="teach-out-of-fold", cache_policy=NO_CACHE, task_run_name="teach-out-of-fold-{name}")
def teach_out_of_fold(name: str, baseline: str, folds: Sequence[AnswersRef], *, cache: Path) -> str:
    """The logits that the shared model learns a head from: the folds' for the rows that they hold, the
    baseline's for the others. Path of the `.npy` file (N, L_h).

    `baseline` and the folds' logits are files of `model.jobs.fit.teach`, which lie in folders that are named by
    all that they depend on.

    Raises:
        model.errors.BadInput: the folds are not of these rows.
    """
    content = [Path(part).parent.name for part in (baseline, *(fold.logits for fold in folds))]
    target = cache / "teachers" / digest("out of fold", content, code_digest()) / f"{name}.npy"
    with Step(f"teach {name} out of fold") as step:
        if target.is_file():
            step.outcome = "cached"
            return str(target)
        parts = [(np.load(fold.positions), np.load(fold.logits)) for fold in folds if fold.positions]
        filled = fill_in(np.load(baseline, mmap_mode="r"), parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.stem}.{os.getpid()}.npy")
        np.save(temporary, filled)
        fault("teacher_written")
        temporary.replace(target)
        fault("teacher_made")
        step.outcome = f"{sum(len(positions) for positions, _ in parts):,} of {len(filled):,} rows"
    return str(target)
