"""Which given labels a model doubts: confident learning on arrays (Northcutt et al. 2021, JAIR 70).

A label is suspected where the model gives another answer at least the probability that it has on average
on rows which bear that answer, within the number of such errors estimated for each pair of answers
(cleanlab's `find_label_issues`, pruning by noise rate). The score is the probability that the model gives
to the given answer: the smaller, the worse.

The cells of a multilabel head are so many yes-or-no questions, as in `cleanlab.multilabel_classification`;
each is scored by itself here, because a row may know some of its labels and not others. What is unlabelled
takes no part.

Does not know rows, texts or models; changes no label.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.spec import UNLABELLED

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class LabelScores:
    """How plausible the given answers of one head are: (N,) for multiclass, (N, L) for multilabel."""

    score: NDArray[np.float64]
    """Probability of the given answer, in [0, 1]; NaN where unlabelled."""
    suspected: NDArray[np.bool_]
    """Whether the given answer looks wrong."""
    suggested: NDArray[np.int64]
    """The model's answer: label index, or for multilabel 1 or 0; -1 where unlabelled."""


def score_labels(targets: Integers, probabilities: Floats) -> LabelScores:
    """Score the given answers of one head.

    Importing cleanlab takes seconds, hence only here.

    Args:
        targets: (N,) label index, or (N, L) of 1 and 0; -1 for unlabelled.
        probabilities: (N, L); rows sum to 1 for (N,) targets.

    Raises:
        ValueError: the shapes do not fit.
    """
    if len(targets) != len(probabilities) or (targets.ndim == 2 and targets.shape != probabilities.shape):
        raise ValueError(f"targets {targets.shape} do not fit probabilities {probabilities.shape}")
    if targets.ndim == 1:
        return _score_known(targets, probabilities.astype(np.float64))
    columns = [
        _score_known(targets[:, at], np.stack([1.0 - p, p], axis=1))
        for at, p in enumerate(probabilities.T.astype(np.float64))
    ]
    return LabelScores(
        score=np.stack([column.score for column in columns], axis=1),
        suspected=np.stack([column.suspected for column in columns], axis=1),
        suggested=np.stack([column.suggested for column in columns], axis=1),
    )


def _score_known(targets: Integers, probabilities: NDArray[np.float64]) -> LabelScores:
    """The answers of one question: targets (N,), probabilities (N, K)."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    known = targets != UNLABELLED
    score, suggested = np.full(len(targets), np.nan), np.full(len(targets), UNLABELLED, dtype=np.int64)
    suspected = np.zeros(len(targets), dtype=np.bool_)
    given, answered = targets[known].astype(np.int64), probabilities[known]
    if given.size:
        score[known] = answered[np.arange(given.size), given]
        suggested[known] = answered.argmax(axis=1)
    # Where all rows bear one answer, nothing is known of what another one looks like.
    if np.unique(given).size >= 2:
        with warnings.catch_warnings():
            # A label with few rows is estimated badly; the page shows how many rows there are.
            warnings.filterwarnings("ignore", message="May not flag all label issues", category=UserWarning)
            suspected[known] = find_label_issues(given, answered, n_jobs=1)
        score[known] = get_label_quality_scores(given, answered, method="self_confidence")
    return LabelScores(score=score, suspected=suspected, suggested=suggested)
