"""Search for labels that look wrong: whose answers each row is checked against. Order only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from expectations.data.suspects import Suspects
from flows.config.schema import Project
from flows.parts.folds import answers_out_of_fold
from flows.parts.graph import part, step
from model.references import FittedRef, LogitsRef, Run
from model.spec import SplitName
from tasks.data.check_labels import check_labels
from tasks.train.answer_rows import answer_rows

_SPLITS: tuple[tuple[SplitName, bool], ...] = (("validation", False), ("test", False), ("train", True))
"""(Split, whether a baseline was trained on its rows)."""


def search_labels(
    project: Project,
    dataset: Path,
    run: Run,
    baselines: Mapping[str, FittedRef],
    *,
    after: Sequence[object] = (),
) -> Suspects | None:
    """What a model doubts of the given labels; None where it was not asked for (`label_check.mode`).

    Args:
        after: results that it comes after.
    """
    if project.label_check.mode == "off":
        return None

    def searched() -> Suspects:
        logits = {
            name: [*_by_baseline(project, run, name, baseline), *_by_folds(project, run, name)]
            for name, baseline in baselines.items()
        }
        return step(check_labels)(dataset, run, logits, project.label_check)

    return part("label check", searched, after)


def _by_baseline(project: Project, run: Run, name: str, baseline: FittedRef) -> Iterator[LogitsRef]:
    """Rows that the baseline was not trained on; in mode `baseline` also those that it was."""
    for split, seen in _SPLITS:
        if seen and project.label_check.mode != "baseline":
            continue
        logits = step(answer_rows)(name, baseline, run.rows, run, split)
        yield LogitsRef(split=split, logits=logits, seen=seen)


def _by_folds(project: Project, run: Run, name: str) -> list[LogitsRef]:
    """Training rows, each answered by a model that was fitted without it."""
    check = project.label_check
    if check.mode != "out_of_fold":
        return []
    return answers_out_of_fold(project, run, name, folds=check.folds, seed=check.seed)
