"""float32 or int8, by measurement: 8-bit weights ship only where no head loses by them.

Judges bundles by their answers on validation rows. Does not know how a graph is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from ..bundle.answers import decisions
from ..bundle.card import Precision
from ..bundle.reader import Bundle
from ..errors import BadInput
from ..measure.metrics import metric
from ..rows import Targets, open_rows
from ..spec import UNLABELLED, HeadSpec, PackageSpec

HeadFigures = dict[str, dict[str, float]]
"""Head → its primary metric by name, and `rows`."""

VALIDATION_ROWS = 1500
"""Most validation rows that are answered for the choice: a few seconds for both precisions on 2 cores."""
SEED = 17
"""Seed of the draw, where there are more validation rows."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Validation rows to measure on."""

    texts: list[str]
    """N texts."""
    targets: dict[str, Targets]
    """Head → targets of the N rows."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which precision ships, and why."""

    precision: Precision
    reason: str
    """One sentence with the figures that decided."""


def validation_sample(rows: Path, heads: Mapping[str, HeadSpec], *, most: int = VALIDATION_ROWS) -> Sample:
    """At most `most` of the validation rows that label at least one of `heads`. The draw is fixed.

    Raises:
        BadInput: the rows are damaged, of other heads, or label none of them in validation.
    """
    split = open_rows(rows, heads).split("validation", heads)
    labelled = np.logical_or.reduce([split.labelled(head) for head in heads])
    found = np.flatnonzero(labelled)
    if not len(found):
        raise BadInput(f"{rows}: no validation row is labelled for {', '.join(heads)}")
    if len(found) > most:
        found = np.sort(np.random.default_rng(SEED).choice(found, most, replace=False))
    keep: NDArray[np.bool_] = np.zeros(split.count, np.bool_)
    keep[found] = True
    texts = list(compress(split.texts(), keep.tolist()))
    return Sample(texts, {head: np.asarray(split.targets[head][found]) for head in heads})


def measure(bundle: Bundle, sample: Sample) -> HeadFigures:
    """Each head's primary metric, and as `rows` the number of labelled rows behind it. A head without a
    labelled row in the sample is left out."""
    figures = {}
    for head, probabilities in bundle.probabilities(sample.texts).items():
        card, targets = bundle.card.heads[head], sample.targets[head]
        known = targets != UNLABELLED
        rows = int((known if known.ndim == 1 else known.any(1)).sum())
        if rows:
            answers = decisions(card, probabilities)
            value = metric(card.metric, card.kind, answers, targets, len(card.labels))
            figures[head] = {card.metric: value, "rows": float(rows)}
    return figures


def choose(spec: PackageSpec, metrics: Mapping[Precision, HeadFigures]) -> Choice:
    """The precision that ships: the one that the spec names; for `auto`, int8 if no head's metric is lower
    than in float32 by more than `int8_tolerance`, else float32.

    Args:
        metrics: precision → what `measure` gave. A head that was measured in float32 only decides for
            float32.
    """
    match spec.precision:
        case "float32" | "int8":
            return Choice(spec.precision, "asked for; not compared with the other")
        case "auto":
            return _compare(metrics["float32"], metrics["int8"], spec.int8_tolerance)
        case _:
            assert_never(spec.precision)


def _compare(float32: HeadFigures, int8: HeadFigures, tolerance: float) -> Choice:
    losses = {}
    for head, figures in float32.items():
        name = next(iter(figures))
        losses[head] = figures[name] - int8[head][name] if head in int8 else np.inf
    worst = max(losses, key=lambda head: losses[head])
    name = next(iter(float32[worst]))
    seen = int8[worst][name] if worst in int8 else float("nan")
    why = (
        f"largest loss: {worst} {name} {float32[worst][name]:.4f} in float32, {seen:.4f} in int8, on "
        f"{float32[worst]['rows']:.0f} validation rows; tolerance {tolerance:g}"
    )
    if losses[worst] <= tolerance + 1e-12:
        return Choice("int8", f"8-bit weights cost no head more than the tolerance ({why})")
    return Choice("float32", f"8-bit weights cost a head more than the tolerance ({why})")
