"""Which engine and precision a bundle is served in, by measurement: the fastest in which no head loses.

Judges bundles by their answers on validation rows, and by the time of one text and of a batch on the machine
that packages. Does not know how a graph is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle.answers import decisions, probabilities
from ..bundle.card import PRECISIONS, PROFILES, Precision
from ..bundle.engines import misfit
from ..bundle.reader import Bundle, Encoding
from ..errors import BadInput
from ..measure.metrics import metric
from ..rows import Targets, open_rows
from ..spec import UNLABELLED, HeadSpec, PrecisionChoice

HeadFigures = dict[str, dict[str, float]]
"""Head → its primary metric by name, and `rows`."""

VALIDATION_ROWS = 1500
"""Most validation rows that are answered for the choice: a few seconds for both precisions on 2 cores."""
SEED = 17
"""Seed of the draw, where there are more validation rows."""
OPENVINO_MOST_BYTES = 150_000_000
"""Largest float32 graph for which `auto` tries OpenVINO. Of 66M parameters (265 MB) it held 320 MB with 8-bit
weights and 560 with bfloat16, and 740 and 1,370 at its peak; onnxruntime's 8-bit forms held 160 and 190. The
time that it saves is not worth that unasked. Named in `package.precision`, it is taken at any size."""
TURNS = 6
"""Turns in which each precision is timed: some 0.1 s each on two cores."""
BATCH = 16
"""Texts that are timed together."""
ONE = (
    "Thank you, the lamp works again.",
    "Thank you for the quick reply, the parcel came today but the lamp in it does not work at all.",
    "It came this morning and works.",
    "Please call me back before noon, because nobody answers the phone and the shop is closed tomorrow.",
)
"""Texts that are timed one by one. Of several lengths: an engine that prepares itself for each shape is
slower on them than on one text again and again."""
MANY = ONE * (BATCH // len(ONE))
NEAR = 1.1
"""What answers one text in at most so many times the least is near: then batches decide."""
EQUAL = 1.05
"""What answers a batch in at most so many times the least is equal."""
PREFERRED: tuple[Precision, ...] = (
    *("int8", "float32", "int8_rows", "openvino_int8", "openvino_bfloat16", "openvino_float32"),
)
"""Of equals, the first ships: small files and the engine that is everywhere before others."""
MOST_MOVED = 0.01
"""Largest change of a probability by the other texts of a batch. Sums in another order move bfloat16 by some
0.001; one scale for a whole batch would move it by 0.1."""


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
    for head, values in bundle.probabilities(sample.texts).items():
        card, targets = bundle.card.heads[head], sample.targets[head]
        known = targets != UNLABELLED
        rows = int((known if known.ndim == 1 else known.any(1)).sum())
        if rows:
            answers = decisions(card, values)
            value = metric(card.metric, card.kind, answers, targets, len(card.labels))
            figures[head] = {card.metric: value, "rows": float(rows)}
    return figures


def candidates(choice: PrecisionChoice) -> tuple[Precision, ...]:
    """The precisions that are made and tried: the one that is named; for `auto`, all that this machine can
    answer in.

    Raises:
        BadInput: this machine can't answer in the one that is named.
    """
    if choice == "auto":
        return tuple(each for each in PRECISIONS if not misfit(each))
    if why := misfit(choice):
        raise BadInput(f"package.precision: {choice}: {why}; name another one, or `auto`")
    return (choice,)


def affordable(names: Sequence[Precision], float32_bytes: int) -> tuple[Precision, ...]:
    """Those of `names` whose engine does not hold too much memory for a graph of so many bytes in float32."""
    return tuple(
        name
        for name in names
        if PROFILES[name].engine != "openvino" or float32_bytes <= OPENVINO_MOST_BYTES or len(names) == 1
    )


@dataclass(frozen=True, slots=True)
class Speed:
    """What answering takes in one precision."""

    one_ms: float
    """One text, milliseconds, on average over `ONE`."""
    batch_ms: float
    """`BATCH` texts together, milliseconds."""


def measure_speed(bundles: Mapping[Precision, Bundle]) -> dict[Precision, Speed]:
    """What each takes, in turns, so that other work on the machine meets all of them alike. The least of all
    turns counts: other work only adds."""
    alone = {name: [each.encode([text]) for text in ONE] for name, each in bundles.items()}
    together = {name: each.encode(MANY) for name, each in bundles.items()}
    taken: dict[Precision, list[tuple[float, float]]] = {name: [] for name in bundles}
    for turn in range(TURNS + 1):
        for name, bundle in bundles.items():
            bundle.run(alone[name][0])  # fills the caches that another one emptied
            one = sum(_seconds(bundle, each) for each in alone[name]) / len(ONE)
            if turn:
                taken[name].append((one, _seconds(bundle, together[name])))
    least = {name: np.min(np.asarray(times), axis=0) * 1000 for name, times in taken.items()}
    return {name: Speed(float(one), float(many)) for name, (one, many) in least.items()}


def by_speed(speeds: Mapping[Precision, Speed]) -> list[Precision]:
    """Fastest first: among those that answer one text in about the least time, the one that answers most.

    Within `EQUAL` of the least, the smaller or simpler one wins, as `PREFERRED` says: a choice that changes
    with the noise of a run would package baselines anew.
    """
    left, order = dict(speeds), list[Precision]()
    while left:
        least = min(each.one_ms for each in left.values())
        near = [name for name, each in left.items() if each.one_ms <= NEAR * least]
        most = min(left[name].batch_ms for name in near)
        best = min((n for n in near if left[n].batch_ms <= EQUAL * most), key=PREFERRED.index)
        order.append(best)
        del left[best]
    return order


def neighbours(bundle: Bundle, texts: Sequence[str]) -> float:
    """By how much a text's probability changes at most when it is answered among all `texts`, in one run."""
    together = bundle.run(bundle.encode(texts))
    cards = bundle.card.heads
    worst = 0.0
    for at, text in enumerate(texts):
        for head, logits in bundle.run(bundle.encode([text])).items():
            alone, among = (
                probabilities(cards[head], each) for each in (logits, together[head][at : at + 1])
            )
            worst = max(worst, float(np.abs(alone - among).max()))
    return worst


def choose(
    names: Sequence[Precision],
    figures: Callable[[Precision], HeadFigures],
    moved: Callable[[Precision], float],
    tolerance: float,
) -> Choice:
    """The first of `names`, fastest first, that costs no head more than the tolerance and in which
    neighbours change nothing; float32 where there is none.

    Args:
        names: what can ship; one alone was asked for and is not compared.
        figures: what `measure` gives for one.
        moved: what `neighbours` gives for one.
        tolerance: how much lower a head's metric may be than in float32. A head that was measured in float32
            only decides for float32.
    """
    if len(names) == 1:
        return Choice(names[0], "asked for; not compared with others")
    refused = []
    for name in names:
        if name == "float32":
            break
        loss = _loss(figures("float32"), figures(name), name)
        changed = moved(name)
        if loss.size <= tolerance + 1e-12 and changed <= MOST_MOVED:
            return Choice(
                name,
                f"the fastest here that costs no head more than the tolerance ({loss.words}; tolerance "
                f"{tolerance:g}; neighbours in a batch move a probability by at most {changed:.1g})",
            )
        if changed > MOST_MOVED:
            refused.append(f"{name}: neighbours in a batch move a probability by {changed:.2g}")
        else:
            refused.append(f"{name} costs a head more than the tolerance ({loss.words})")
    why = "; ".join(refused) or "the fastest here"
    return Choice("float32", f"{why}; tolerance {tolerance:g}")


@dataclass(frozen=True, slots=True)
class _Loss:
    size: float
    words: str


def _loss(float32: HeadFigures, other: HeadFigures, name: Precision) -> _Loss:
    losses = {}
    for head, figures in float32.items():
        metric_name = next(iter(figures))
        losses[head] = figures[metric_name] - other[head][metric_name] if head in other else np.inf
    worst = max(losses, key=lambda head: losses[head])
    called = next(iter(float32[worst]))
    seen = other[worst][called] if worst in other else float("nan")
    return _Loss(
        losses[worst],
        f"largest loss: {worst} {called} {float32[worst][called]:.4f} in float32, {seen:.4f} in {name}, on "
        f"{float32[worst]['rows']:.0f} validation rows",
    )


def _seconds(bundle: Bundle, encoding: Encoding) -> float:
    begin = time.perf_counter()
    bundle.run(encoding)
    return time.perf_counter() - begin
