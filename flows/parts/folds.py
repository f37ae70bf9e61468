"""Logits for a head's training rows, each by a model that was fitted without it. Order only."""

from __future__ import annotations

from flows.baselines import fit_all
from flows.config.schema import Project
from flows.parts.graph import step
from model.code import code_digest
from model.jobs.baselines import BaselineJob
from model.references import LogitsRef, Run
from tasks.train.answer_rows import answer_rows
from tasks.train.cut_folds import cut_folds


def answers_out_of_fold(project: Project, run: Run, name: str, *, folds: int, seed: int) -> list[LogitsRef]:
    """One part a fold of the rows that are labelled for head `name`; models and answers are kept by content,
    so asking twice trains once.

    Raises:
        model.errors.BadInput: there are fewer labelled rows than folds.
    """
    cut = step(cut_folds)(name, run, folds=folds, seed=seed)
    jobs = [
        BaselineJob(
            name=name,
            rows=fold.rows,
            fingerprint=fold.fingerprint,
            part=f"fold {fold.number + 1} of {folds}",
            code=code_digest(),
        )
        for fold in cut
    ]
    found = []
    for fold, fitted in zip(cut, fit_all(project, run, jobs), strict=True):
        logits = step(answer_rows, [fitted])(name, fitted, fold.rows, run, "test")
        found.append(LogitsRef(split="train", logits=logits, positions=fold.positions))
    return found
