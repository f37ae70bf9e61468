"""Look for labels that a model doubts: gather its logits, score the labels, list the worst by source line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.data.suspects import Predictions, Suspects, find_suspects
from expectations.spec import LabelCheck
from model.bundle.activations import probabilities
from model.references import LogitsRef, Run
from model.rows import open_rows
from model.spec import HeadSpec
from report.progress import Step


@task(name="check-labels", task_run_name="check-labels", cache_policy=NO_CACHE)
def check_labels(
    dataset: Path, run: Run, logits: Mapping[str, Sequence[LogitsRef]], check: LabelCheck
) -> Suspects:
    """Score every given label of a dataset folder by the logits (head → parts), and list those that look
    wrong."""
    with Step("check labels") as step:
        loaded = {
            name: [_load(run.rows, name, run.heads[name], part) for part in parts]
            for name, parts in logits.items()
        }
        found = find_suspects(
            dataset, run.heads, loaded, run.reports, mode=check.mode, most_rows=check.most_rows
        )
        step.outcome = f"{found.suspected:,} of {found.looked:,} labels look wrong, none was changed"
    return found


def _load(rows: Path, name: str, head: HeadSpec, part: LogitsRef) -> Predictions:
    targets = open_rows(rows).split(part.split, {name: head}).targets[name]
    logits = np.load(part.logits, mmap_mode="r", allow_pickle=False)
    positions = np.arange(len(targets)) if part.positions is None else np.load(part.positions)
    return Predictions(
        split=part.split,
        positions=positions,
        targets=np.asarray(targets)[positions],
        probabilities=probabilities(head.kind, logits),
        seen=part.seen,
    )
