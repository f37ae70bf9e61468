"""Cut a head's training rows into folds, and put the folds' answers together again.

Knows files and digests; how rows are dealt out and filled in is for `model.folds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..cache import Cache
from ..code import code_digest
from ..digest import digest
from ..faults import fault
from ..files import replacing
from ..folds import deal_folds, fill_in, write_fold
from ..references import FoldRef, LogitsRef, Run
from ..rows import open_rows
from .progress import Progress


def cut_folds(name: str, run: Run, *, folds: int, seed: int) -> list[FoldRef]:
    """The folds of a head's labelled training rows, as rows folders below the run's folder.

    Raises:
        model.errors.BadInput: there are fewer labelled rows than folds.
    """
    whole = open_rows(run.rows)
    fold = deal_folds(whole.split("train", {name: whole.heads[name]}), name, folds, seed)
    found = []
    for number in range(folds):
        key = digest("fold", run.head_fingerprints[name], folds, seed, number)
        entry = Cache(run.folder).entry("folds", f"{name}-{key[:16]}")
        positions = entry.folder / "positions.npy"
        with entry.making() as folder:
            if folder is not None:
                write_fold(whole, name, fold, number, folder)
                np.save(positions, np.flatnonzero(fold == number))
        found.append(FoldRef(rows=entry.folder, number=number, fingerprint=key, positions=str(positions)))
    return found


def combine_folds(name: str, baseline: str, folds: Sequence[LogitsRef], run: Run, progress: Progress) -> str:
    """The logits that the shared model learns a head from: the folds' for the rows that they hold, the
    baseline's for the others. Path of the `.npy` file (N, L_h).

    Args:
        baseline: the baseline's logits of all training rows (`model.jobs.baselines.answer_rows`).
        folds: the logits of the models of the folds.

    Raises:
        model.errors.BadInput: the folds are not of these rows.
    """
    # The files lie in folders that are named by all that they depend on.
    content = [Path(part).parent.name for part in (baseline, *(fold.logits for fold in folds))]
    entry = Cache(run.cache).entry("teachers", digest("out of fold", content, code_digest()))
    with entry.making() as folder:
        if folder is not None:
            parts = [(np.load(fold.positions), np.load(fold.logits)) for fold in folds if fold.positions]
            filled = fill_in(np.load(baseline, mmap_mode="r"), parts)
            with replacing(folder / f"{name}.npy") as file:
                np.save(file, filled)
            fault("teacher_written")
            progress.outcome = f"{sum(len(places) for places, _ in parts):,} of {len(filled):,} rows"
        else:
            progress.outcome = "cached"
    fault("teacher_made")
    return str(entry.folder / f"{name}.npy")
