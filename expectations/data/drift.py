"""How far the data has moved from what the champion was trained on: pure functions of profiles.

Labels and text lengths are compared by PSI and JS (`expectations.stats.divergence`), words by the share that
is new (`expectations.data.vocabulary`). Each label of a multilabel head is a yes or no of its own: the PSI of
independent ones adds up over labels, and the JS shown is that of the label that moved most.

A figure below what two samples of one distribution would show in 99 of 100 cases is noise, and never counts
as drift.

Does not know files; a profile is the dictionary of `profile.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from expectations.spec import DataRules
from expectations.stats.divergence import (
    jensen_shannon,
    population_stability_index,
    psi_noise,
    quantile_edges,
    rebin,
)
from model.bundle.card import HeadKind
from model.spec import SPLITS

LENGTH_CELLS = 10
"""Cells that text lengths are compared in: deciles of the champion's lengths."""
LENGTHS = "text length"
"""Subject of a comparison of text lengths."""
VOCABULARY = "vocabulary"
"""Subject of a comparison of words."""

DriftLevel = Literal["ok", "warn", "fail"]

DriftState = Literal[
    "compared",
    "too few rows",
    "too few words",
    "nothing to compare with",
    "the champion's words are not known",
    "words were not counted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """From where on a figure is a warning, and a failure: the fields `drift_…` of `DataRules`."""

    psi_warn: float = 0.1
    psi_fail: float = 0.25
    js_warn: float = 0.02
    js_fail: float = 0.05
    min_rows: int = 200
    unseen_warn: float = 0.05
    unseen_fail: float = 0.15
    min_tokens: int = 1000


def levels_of(rules: DataRules) -> Levels:
    """The levels that the configuration asks for."""
    return Levels(**{field.name: getattr(rules, f"drift_{field.name}") for field in fields(Levels)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFigure:
    """One figure of a comparison beside its levels, which rise to the noise where the rows are few."""

    column: str
    """Name under which the figure is judged: `psi:intent:train`."""
    called: str
    """`PSI`, `JS`, `excess of unseen words`."""
    means: str
    """Sentence that ends in the fail level."""
    value: float
    warn: float
    fail: float

    @property
    def level(self) -> DriftLevel:
        """Noise is `ok` whatever its size."""
        return "fail" if self.value >= self.fail else "warn" if self.value >= self.warn else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One comparison: the labels of a head, the text lengths or the words, in one split."""

    subject: str
    """Head, `text length`, or `vocabulary`."""
    head: str | None
    split: str
    state: DriftState
    rows: int
    """Rows now."""
    rows_then: int
    """Rows of the champion's data."""
    psi: float | None = None
    """Population stability index, in nats; none unless compared."""
    js: float | None = None
    """Jensen–Shannon divergence, in bits; none unless compared."""
    noise_psi: float | None = None
    """99% quantile of PSI if nothing had changed."""
    unseen: float | None = None
    """Share of the words that the champion's training texts do not hold; vocabulary only."""
    unseen_then: float | None = None
    """That share in texts that the champion was not trained on, when it was made."""
    noise_unseen: float | None = None
    """99% quantile of the difference of the two if nothing had changed."""
    moved: tuple[tuple[str, float, float], ...] = ()
    """Cells that moved most: name, share then, share now."""

    @property
    def what(self) -> str:
        """What is compared: `labels`, `words` or `text lengths`."""
        return "labels" if self.head else "words" if self.subject == VOCABULARY else "text lengths"

    @property
    def noise_js(self) -> float | None:
        """The noise level in terms of JS: for small changes JS ≈ PSI / (8 ln 2) (both are then χ² like)."""
        return None if self.noise_psi is None else self.noise_psi / (8 * float(np.log(2)))

    @property
    def excess(self) -> float | None:
        """How much larger the share of unseen words is than then."""
        if self.unseen is None or self.unseen_then is None:
            return None
        return self.unseen - self.unseen_then

    def figures(self, levels: Levels) -> tuple[DriftFigure, ...]:
        """The figures by which it is judged; none unless compared."""
        unseen = (
            "the share of words that the champion's training texts do not hold exceeds that share of its "
            "validation texts by less than"
        )
        known = (
            ("psi", "PSI", "PSI below", self.psi, self.noise_psi, levels.psi_warn, levels.psi_fail),
            ("js", "JS", "JS below", self.js, self.noise_js, levels.js_warn, levels.js_fail),
            ("unseen", "excess of unseen words", unseen, self.excess, self.noise_unseen,
             levels.unseen_warn, levels.unseen_fail),
        )  # fmt: skip
        return tuple(
            DriftFigure(
                column=f"{name}:{self.subject}:{self.split}",
                called=called,
                means=means,
                value=value,
                warn=max(warn, noise),
                fail=max(fail, noise),
            )
            for name, called, means, value, noise, warn, fail in known
            if value is not None and noise is not None
        )

    def level(self, levels: Levels) -> DriftLevel | None:
        """The worst of the figures' levels, none if not compared."""
        found = {figure.level for figure in self.figures(levels)}
        order: tuple[DriftLevel, ...] = ("fail", "warn", "ok")
        return next((level for level in order if level in found), None)


def compare(
    profile: Mapping[str, Any], champion: Mapping[str, Any] | None, levels: Levels
) -> tuple[Drift, ...]:
    """Every head and split, and the text lengths of every split, against the champion's profile.

    Without a champion, or where its profile lacks a head or split, the state says so.
    """
    found: list[Drift] = []
    for head, known in profile["heads"].items():
        past = (champion or {}).get("heads", {}).get(head, {})
        for split in SPLITS:
            now, then = known["splits"].get(split), past.get("splits", {}).get(split)
            if past and past.get("kind") != known["kind"]:
                then = None
            if now is not None:
                found.append(_labels(head, split, known["kind"], now, then, levels))
    for split in SPLITS:
        now = profile.get("text_chars", {}).get(split)
        then = (champion or {}).get("text_chars", {}).get(split)
        if now is not None:
            found.append(_lengths(split, now, then, levels))
    return tuple(found)


def _state(rows: int, rows_then: int | None, levels: Levels) -> DriftState:
    if rows_then is None:
        return "nothing to compare with"
    return "too few rows" if min(rows, rows_then) < max(levels.min_rows, 1) else "compared"


def _labels(
    head: str,
    split: str,
    kind: HeadKind,
    now: Mapping[str, Any],
    then: Mapping[str, Any] | None,
    levels: Levels,
) -> Drift:
    rows, rows_then = int(now["labelled"]), None if then is None else int(then["labelled"])
    state = _state(rows, rows_then, levels)
    known: dict[str, Any] = {"subject": head, "head": head, "split": split, "state": state, "rows": rows}
    if then is None or rows_then is None or state != "compared":
        return Drift(**known, rows_then=rows_then or 0)
    names = sorted({*now["counts"], *then["counts"]})
    a = np.array([now["counts"].get(name, 0) for name in names], dtype=np.float64)
    b = np.array([then["counts"].get(name, 0) for name in names], dtype=np.float64)
    match kind:
        case "multilabel":
            # Rows that leave this one label unknown say nothing about it.
            known_a = [rows - now.get("unknown", {}).get(name, 0) for name in names]
            known_b = [rows_then - then.get("unknown", {}).get(name, 0) for name in names]
            pairs = [
                ((x, max(n - x, 0)), (y, max(m - y, 0)))
                for x, n, y, m in zip(a, known_a, b, known_b, strict=True)
            ]
            psi = sum((population_stability_index(x, y) for x, y in pairs), 0.0)
            js = max((jensen_shannon(x, y) for x, y in pairs), default=0.0)
            cells = len(names) + 1
        case "multiclass":
            psi, js, cells = population_stability_index(a, b), jensen_shannon(a, b), len(names)
        case _:
            assert_never(kind)
    return Drift(
        **known,
        rows_then=rows_then,
        psi=psi,
        js=js,
        noise_psi=psi_noise(cells, rows, rows_then),
        moved=_moved(names, a / rows, b / rows_then),
    )


def _lengths(split: str, now: Mapping[str, Any], then: Mapping[str, Any] | None, levels: Levels) -> Drift:
    rows = int(np.sum(now["histogram"]["counts"]))
    rows_then = None if then is None else int(np.sum(then["histogram"]["counts"]))
    state = _state(rows, rows_then, levels)
    known: dict[str, Any] = {"subject": LENGTHS, "head": None, "split": split, "state": state, "rows": rows}
    if then is None or rows_then is None or state != "compared":
        return Drift(**known, rows_then=rows_then or 0)
    edges = quantile_edges(then["histogram"], LENGTH_CELLS)
    a, b = rebin(now["histogram"], edges), rebin(then["histogram"], edges)
    names = [f"{low:.0f}–{high:.0f} characters" for low, high in pairwise(edges)]
    return Drift(
        **known,
        rows_then=rows_then,
        psi=population_stability_index(a, b),
        js=jensen_shannon(a, b),
        noise_psi=psi_noise(len(a), rows, rows_then),
        moved=_moved(names, a / rows, b / rows_then),
    )


def _moved(
    names: Sequence[str], now: NDArray[np.float64], then: NDArray[np.float64]
) -> tuple[tuple[str, float, float], ...]:
    order = np.argsort(-np.abs(now - then), kind="stable")[:3]
    return tuple((names[i], float(then[i]), float(now[i])) for i in order if now[i] != then[i])
