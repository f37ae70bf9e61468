"""Replies: their shapes, which are the schemas of `/openapi.json`, and probabilities as answers.

Does not know HTTP, nor where probabilities come from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict  # pydantic reads this one only, before Python 3.12

from model.bundle.answers import decisions
from model.bundle.card import HeadCard
from model.bundle.reader import Bundle
from model.bundle.texts import TextPreparation
from serving.http.loading import Served
from serving.http.queueing import Probabilities

DECIMALS = 6
"""Digits of a probability after the point."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class LabelProbability(TypedDict):
    """A label and how probable it is."""

    label: str
    probability: float


class HeadAnswer(TypedDict):
    """What one head answers about one text, the most probable label first."""

    labels: list[LabelProbability]
    """Multiclass: exactly one label. Multilabel: those that apply, perhaps none."""
    probabilities: NotRequired[list[LabelProbability]]
    """Every label, where that was asked for."""


class PredictReply(TypedDict):
    """Reply of `POST /predict`."""

    version: int
    name: str
    answers: list[dict[str, HeadAnswer]]
    """One mapping head → answer a text."""


class InvocationsReply(TypedDict):
    """Reply of `POST /invocations`: MLflow's shape, and the version beside it."""

    predictions: list[dict[str, HeadAnswer]]
    version: int
    name: str


class ErrorDetail(TypedDict):
    """Why a request is refused."""

    code: str
    """One word for programs."""
    message: str
    """One sentence for people."""


class ErrorReply(TypedDict):
    """Body of every reply that refuses."""

    error: ErrorDetail


class WorkerReply(TypedDict):
    """What one of several workers serves."""

    worker: int
    version: int | None
    refused: Mapping[str, Any] | None


class ReadyReply(TypedDict):
    """Reply of `GET /ready`, with status 200 or 503."""

    ready: bool
    name: str
    version: int | None
    draining: bool
    refused: Mapping[str, Any] | None
    """Version, reason and time of what the pointer asks for and what does not serve; `known`: whether that
    says something of the version, or it could not be tried."""
    reason: NotRequired[str]
    """Why it is not ready."""
    workers: NotRequired[list[WorkerReply]]


class VersionReply(TypedDict):
    """Reply of `GET /version`: what serves, and on what grounds."""

    name: str
    version: int
    sequence: int
    bundle_sha256: str
    outcome: str
    override: Mapping[str, Any] | None
    """Reason, author and end of the override by which it serves."""
    dataset_fingerprint: str
    code_digest: str
    created: str
    since: str
    heads: dict[str, list[str]]
    text_preparation: TextPreparation
    """`nfc`: texts are prepared, and `[SEP]` and the like in them are text. `as_given`: a bundle of 0.2 or
    before, which takes them as special tokens."""


def answers(bundle: Bundle, probabilities: Probabilities, everything: bool) -> list[dict[str, HeadAnswer]]:
    """One mapping head → answer a text.

    Args:
        bundle: the bundle that answered.
        probabilities: head → (N, L_h).
        everything: whether to give every label's probability, too.

    Raises:
        ValueError: a probability is not finite.
    """
    rows = len(next(iter(probabilities.values())))
    replies: list[dict[str, HeadAnswer]] = [{} for _ in range(rows)]
    for head, matrix in probabilities.items():
        if not np.isfinite(matrix).all():
            raise ValueError(f"head {head!r} answered a probability that is not finite")
        about = bundle.card.heads[head]
        labels, chosen_ones = about.labels, applies(about, matrix)
        order = np.argsort(-matrix, axis=1, kind="stable")
        for reply, row, chosen, ranked in zip(replies, matrix, chosen_ones, order, strict=True):
            answer: HeadAnswer = {"labels": [_entry(labels, row, i) for i in ranked if chosen[i]]}
            if everything:
                answer["probabilities"] = [_entry(labels, row, i) for i in ranked]
            reply[head] = answer
    return replies


def applies(about: HeadCard, matrix: NDArray[np.float32]) -> NDArray[Any]:
    """Which labels a head answers: (N, L_h), by the rule that the gates measured."""
    chosen = decisions(about, matrix)
    return np.arange(matrix.shape[1]) == chosen[:, None] if about.kind == "multiclass" else chosen


def _entry(labels: tuple[str, ...], row: NDArray[np.float32], index: int) -> LabelProbability:
    return {"label": labels[index], "probability": round(float(row[index]), DECIMALS)}


def predict_reply(served: Served, probabilities: Probabilities, everything: bool) -> bytes:
    """JSON of `POST /predict`."""
    reply: PredictReply = {
        "version": served.version,
        "name": served.manifest.name,
        "answers": answers(served.bundle, probabilities, everything),
    }
    return to_json(reply)


def invocations_reply(served: Served, probabilities: Probabilities, everything: bool) -> bytes:
    """JSON of `POST /invocations`."""
    reply: InvocationsReply = {
        "predictions": answers(served.bundle, probabilities, everything),
        "version": served.version,
        "name": served.manifest.name,
    }
    return to_json(reply)


def version_reply(served: Served) -> bytes:
    """JSON of `GET /version`."""
    manifest, override = served.manifest, served.manifest.override
    reply: VersionReply = {
        "name": manifest.name,
        "version": manifest.version,
        "sequence": served.sequence,
        "bundle_sha256": manifest.bundle_sha256,
        "outcome": manifest.outcome,
        "override": None
        if override is None
        else {
            "reason": override.reason,
            "by": override.by,
            "expires": override.expires,
            "expired": override.expired,
        },
        "dataset_fingerprint": manifest.dataset_fingerprint,
        "code_digest": manifest.code_digest,
        "created": manifest.created,
        "since": served.since,
        "heads": {name: list(head.labels) for name, head in served.bundle.card.heads.items()},
        "text_preparation": served.bundle.card.text_preparation,
    }
    return to_json(reply)


def error_reply(code: str, message: str) -> bytes:
    """JSON of every reply that refuses."""
    reply: ErrorReply = {"error": {"code": code, "message": message}}
    return to_json(reply)


def to_json(value: Any) -> bytes:
    """Compact JSON, UTF-8.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    return _ENCODER.encode(value).encode()
