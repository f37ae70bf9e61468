"""Look for labels that a model doubts: gather its answers, score them, list the worst by source line.

Knows files; how labels are scored is for `expectations`, how rows are cut into folds for `model`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.spec import LabelCheck
from expectations.suspects import Answers, Suspects, find_suspects
from model.folds import deal_folds, write_fold
from model.metrics import probabilities
from model.rows import open_rows
from model.spec import HeadSpec, SplitName
from tasks.digest import digest
from tasks.prepare import Run
from tasks.progress import Step


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
def cut_folds(name: str, *, rows: Path, fingerprint: str, check: LabelCheck, out: Path) -> list[FoldRef]:
    """The folds of a head's labelled training rows, as rows folders below `out`.

    Raises:
        model.errors.BadInput: there are fewer labelled rows than folds.
    """
    whole = open_rows(rows)
    fold = deal_folds(whole.split("train", {name: whole.heads[name]}), name, check.folds, check.seed)
    found = []
    for number in range(check.folds):
        folder = out / f"{name}-{number}"
        write_fold(whole, name, fold, number, folder)
        positions = folder / "positions.npy"
        np.save(positions, np.flatnonzero(fold == number))
        key = digest("fold", fingerprint, check.folds, check.seed, number)
        found.append(FoldRef(rows=folder, number=number, fingerprint=key, positions=str(positions)))
    return found


@task(name="check-labels", cache_policy=NO_CACHE)
def check_labels(
    dataset: Path, run: Run, answers: Mapping[str, Sequence[AnswersRef]], check: LabelCheck
) -> Suspects:
    """Score every given label of a dataset folder by the answers (head → parts), and list those that look
    wrong."""
    with Step("check labels") as step:
        loaded = {
            name: [_load(run.rows, name, run.heads[name], part) for part in parts]
            for name, parts in answers.items()
        }
        found = find_suspects(
            dataset, run.heads, loaded, run.reports, mode=check.mode, most_rows=check.most_rows
        )
        step.outcome = f"{found.suspected:,} of {found.looked:,} labels look wrong, none was changed"
    return found


def _load(rows: Path, name: str, head: HeadSpec, part: AnswersRef) -> Answers:
    targets = open_rows(rows).split(part.split, {name: head}).targets[name]
    logits = np.load(part.logits, mmap_mode="r", allow_pickle=False)
    positions = np.arange(len(targets)) if part.positions is None else np.load(part.positions)
    return Answers(
        split=part.split,
        positions=positions,
        targets=np.asarray(targets)[positions],
        probabilities=probabilities(head.kind, logits),
        seen=part.seen,
    )
