"""Probabilities as replies: which labels a head answers, and how sure it is of them.

Does not know HTTP, nor where probabilities come from.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bundle.answers import decisions
from model.bundle.card import HeadCard
from model.bundle.reader import Bundle
from serving.http.batching import Probabilities
from serving.http.loading import Served

DECIMALS = 6
"""Digits of a probability after the point."""


def answers(bundle: Bundle, probabilities: Probabilities, everything: bool) -> list[dict[str, Any]]:
    """One mapping head → answer a text.

    An answer is `{"labels": [{"label", "probability"}, …]}`: exactly one label of a multiclass head, those
    that apply of a multilabel head (perhaps none), the most probable first. With `everything` it also
    holds `"probabilities"`: the same for every label.

    Args:
        bundle: the bundle that answered.
        probabilities: head → (N, L_h).
        everything: whether to give every label's probability, too.

    Raises:
        ValueError: a probability is not finite.
    """
    rows = len(next(iter(probabilities.values())))
    replies: list[dict[str, Any]] = [{} for _ in range(rows)]
    for head, matrix in probabilities.items():
        if not np.isfinite(matrix).all():
            raise ValueError(f"head {head!r} answered a probability that is not finite")
        about = bundle.card.heads[head]
        labels, applies = about.labels, _applies(about, matrix)
        order = np.argsort(-matrix, axis=1, kind="stable")
        for reply, row, chosen, ranked in zip(replies, matrix, applies, order, strict=True):
            answer = {"labels": [_entry(labels, row, i) for i in ranked if chosen[i]]}
            if everything:
                answer["probabilities"] = [_entry(labels, row, i) for i in ranked]
            reply[head] = answer
    return replies


def _applies(about: HeadCard, matrix: NDArray[np.float32]) -> NDArray[Any]:
    """Which labels a head answers: (N, L_h), by the rule that the gates measured."""
    chosen = decisions(about, matrix)
    return np.arange(matrix.shape[1]) == chosen[:, None] if about.kind == "multiclass" else chosen


def _entry(labels: tuple[str, ...], row: NDArray[np.float32], index: int) -> dict[str, Any]:
    return {"label": labels[index], "probability": round(float(row[index]), DECIMALS)}


def predict_reply(served: Served, probabilities: Probabilities, everything: bool) -> bytes:
    """JSON of `POST /predict`."""
    found = answers(served.bundle, probabilities, everything)
    return to_json({"version": served.version, "name": served.manifest.name, "answers": found})


def invocations_reply(served: Served, probabilities: Probabilities, everything: bool) -> bytes:
    """JSON of `POST /invocations`: MLflow's shape, and the version beside it."""
    found = answers(served.bundle, probabilities, everything)
    return to_json({"predictions": found, "version": served.version, "name": served.manifest.name})


def to_json(value: Any) -> bytes:
    """Compact JSON, UTF-8.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
