"""Search for labels that look wrong: whose answers each row is checked against. Order only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from flows.config.schema import Project
from flows.folds import answers_out_of_fold
from model.jobs.fit import FittedRef, teach
from model.jobs.folds import AnswersRef, split_sha256
from tasks.data.check_labels import Suspects, check_labels
from tasks.data.prepare_run import Run


def search_labels(
    project: Project, dataset: Path, run: Run, baselines: Mapping[str, FittedRef]
) -> Suspects | None:
    """What a model doubts of the given labels; None where it was not asked for (`label_check.mode`)."""
    if project.label_check.mode == "off":
        return None
    answers = {
        name: [*_by_baseline(project, run, name, baseline), *_by_folds(project, run, name)]
        for name, baseline in baselines.items()
    }
    return check_labels(dataset, run, answers, project.label_check)


def _by_baseline(project: Project, run: Run, name: str, baseline: FittedRef) -> Iterator[AnswersRef]:
    """Rows that the baseline was not trained on; in mode `baseline` also those that it was."""
    for split in ("validation", "test", "train"):
        seen = split == "train"
        if seen and project.label_check.mode != "baseline":
            continue
        logits = teach(
            name,
            baseline,
            rows=run.rows,
            texts_sha256=run.texts_sha256 if seen else split_sha256(run.rows, split),
            cache=run.cache,
            logs=run.logs,
            split=split,
        )
        yield AnswersRef(split=split, logits=logits, seen=seen)


def _by_folds(project: Project, run: Run, name: str) -> list[AnswersRef]:
    """Training rows, each answered by a model that was fitted without it."""
    check = project.label_check
    if check.mode != "out_of_fold":
        return []
    return answers_out_of_fold(project, run, name, folds=check.folds, seed=check.seed)
