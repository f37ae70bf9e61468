"""TF-IDF and logistic regression on the rows of one head: what can be had without an encoder.

The same training rows and row weights as the head's baseline, thresholds tuned on its validation rows by the
same functions. Scikit-learn is imported when it is needed; nothing that was fitted is kept. Axes: N rows,
L labels, V features.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import compress, islice
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from ..bundle import activations
from ..rows import RowsFolder
from ..spec import UNLABELLED, HeadSpec
from .calibrate import calibrate
from .majority import majority_answer, repeated
from .metrics import Ints

MOST_ROWS = 50_000
"""Training rows used: of more, evenly spaced ones. A linear model gains little from more, and stays cheap."""
MOST_FEATURES = 50_000
"""The most frequent words and pairs of words, V."""
INVERSE_PENALTY = 5.0
"""`C` of the logistic regression. Rows of length 1 make the library's own 1 a strong penalty."""
CERTAIN = 10.0
"""Logit of a label that applies to all training rows or to none."""
FEWEST_BLANKS = 0.05
"""Share of blanks among characters below which the words of a language do not stand apart (Chinese, Thai):
then runs of one to three characters are counted instead of words. English has about 0.18."""
LOOKED_AT = 2_000
"""Texts whose blanks are counted."""


def bag_of_words_answers(rows: RowsFolder, name: str, head: HeadSpec) -> Ints:
    """Decisions for all N test rows: (N,) or (N, L).

    Raises:
        BadInput: the rows are damaged.
    """
    heads = {name: head}
    train, validation, test = (rows.split(s, heads) for s in ("train", "validation", "test"))
    used = _used(train.labelled(name))
    texts = list(compress(train.texts(), used.tolist()))
    targets, weights = np.asarray(train.targets[name])[used], np.asarray(train.weights)[used]
    if not (weights > 0).any() or not any(text.strip() for text in texts):
        return repeated(
            majority_answer(head.primary_metric, head.kind, targets, len(head.labels)), test.count
        )
    vectors = _vectorizer(texts)
    try:
        counted = vectors.fit_transform(texts)
    except ValueError:  # no word at all, or none that is frequent enough
        return repeated(
            majority_answer(head.primary_metric, head.kind, targets, len(head.labels)), test.count
        )
    match head.kind:
        case "multiclass":
            return _likeliest(counted, targets, weights, vectors.transform(test.texts()))
        case "multilabel":
            parts = [vectors.transform(part.texts()) for part in (validation, test)]
            for_validation, for_test = _logits(counted, targets, weights, parts)
            return _decided(head, for_validation, np.asarray(validation.targets[name]), for_test)
        case _:
            assert_never(head.kind)


def _used(labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) the labelled rows, or as many of them as are used, evenly spaced."""
    places = np.flatnonzero(labelled)
    if len(places) > MOST_ROWS:
        places = places[np.linspace(0, len(places) - 1, MOST_ROWS).astype(np.int64)]
    used = np.zeros(len(labelled), dtype=np.bool_)
    used[places] = True
    return used


def _vectorizer(texts: list[str]) -> Any:
    """Words and pairs of words, or runs of characters where words do not stand apart."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    seen = list(islice(texts, LOOKED_AT))
    blanks = sum(sum(map(str.isspace, text.strip())) for text in seen)
    words = blanks >= FEWEST_BLANKS * sum(map(len, seen))
    return TfidfVectorizer(
        analyzer="word" if words else "char",
        token_pattern=r"\w+|[^\w\s]",
        ngram_range=(1, 2) if words else (1, 3),
        sublinear_tf=True,
        min_df=2 if len(texts) >= 200 else 1,
        max_features=MOST_FEATURES,
        dtype=np.float32,
    )


def _regression(features: Any, targets: Ints, weights: NDArray[Any]) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # A step more would not change what is answered: the reference is a rough one.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=INVERSE_PENALTY, tol=1e-3, max_iter=50).fit(features, targets, weights)


def _likeliest(features: Any, targets: Ints, weights: NDArray[Any], asked: Any) -> Ints:
    """(N,) label indices for the rows that are asked for."""
    if len(np.unique(targets)) == 1:
        return np.full(asked.shape[0], targets[0], dtype=np.int32)
    return np.asarray(_regression(features, targets, weights).predict(asked), dtype=np.int32)


def _logits(
    features: Any, targets: Ints, weights: NDArray[Any], parts: list[Any]
) -> Iterator[NDArray[np.float64]]:
    """(N, L) logits of each part: one regression a label, on the rows where it is known."""
    found = [np.empty((part.shape[0], targets.shape[1])) for part in parts]
    for label in range(targets.shape[1]):
        known = targets[:, label] != UNLABELLED
        cells = targets[known, label]
        if len(np.unique(cells)) < 2:
            for logits in found:
                logits[:, label] = CERTAIN if cells.any() else -CERTAIN
            continue
        fitted = _regression(features if known.all() else features[known], cells, weights[known])
        for logits, part in zip(found, parts, strict=True):
            logits[:, label] = fitted.decision_function(part)
    yield from found


def _decided(
    head: HeadSpec, validation: NDArray[np.float64], truth: Ints, asked: NDArray[np.float64]
) -> Ints:
    """(N, L) decisions at the thresholds that are best on validation rows; at 0.5 without such rows."""
    if not (truth != UNLABELLED).any():
        return activations.decide(head.kind, activations.probabilities(head.kind, asked))
    fitted = calibrate(head.kind, head.primary_metric, validation, truth)
    thresholds = None if fitted.thresholds is None else np.asarray(fitted.thresholds)
    return activations.decide(
        head.kind, activations.probabilities(head.kind, asked, fitted.temperature), thresholds
    )
