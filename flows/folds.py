"""Answers for a head's training rows, each by a model that was fitted without it. Order only."""

from __future__ import annotations

from flows.baselines import Wanted, fit_all
from flows.config.schema import Project
from model.jobs.fit import teach
from model.jobs.folds import AnswersRef, cut_folds, split_sha256
from tasks.data.prepare_run import Run


def answers_out_of_fold(project: Project, run: Run, name: str, *, folds: int, seed: int) -> list[AnswersRef]:
    """One part a fold of the rows that are labelled for head `name`; models and answers are kept by content,
    so asking twice trains once.

    Raises:
        model.errors.BadInput: there are fewer labelled rows than folds.
    """
    cut = cut_folds(
        name,
        rows=run.rows,
        fingerprint=run.head_fingerprints[name],
        folds=folds,
        seed=seed,
        out=run.folder / "folds",
    )
    wanted = [
        Wanted(
            name=name,
            rows=fold.rows,
            fingerprint=fold.fingerprint,
            part=f"fold {fold.number + 1} of {folds}",
        )
        for fold in cut
    ]
    found = []
    for fold, fitted in zip(cut, fit_all(project, run, wanted), strict=True):
        logits = teach(
            name,
            fitted,
            rows=fold.rows,
            texts_sha256=split_sha256(fold.rows, "test"),
            cache=run.cache,
            logs=run.logs,
            split="test",
        )
        found.append(AnswersRef(split="train", logits=logits, positions=fold.positions))
    return found
