"""How far the data has moved from what the champion was trained on: pure functions of profiles.

Two figures a comparison, over the same cells p (now) and q (then), each count raised by one half so that
a label seen only once on one side gives a finite figure:

- population stability index  PSI = Σ (pᵢ − qᵢ) ln(pᵢ / qᵢ), in nats (the symmetrised Kullback–Leibler
  divergence of Jeffreys, 1946); 0.1 and 0.25 are the levels that credit scoring has long used;
- Jensen–Shannon divergence  JS = H((p+q)/2) − (H(p) + H(q))/2, in bits, between 0 and 1 (Lin 1991).

For a multilabel head each label is a coin of its own: the PSI of independent coins adds up over labels,
and the JS shown is that of the label that moved most.

Two samples of one distribution differ too: with n and m rows and k cells, PSI is then distributed as
(1/n + 1/m) χ²(k−1) (Yurdakul 2018, "Statistical properties of population stability index"). A figure below
the 99% quantile of that is noise, and never counts as drift.

Does not know files; a profile is the dictionary of `profile.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.spec import SPLITS

NOISE_CONFIDENCE_Z = 2.3263478740408408
"""99% quantile of the standard normal distribution."""
LENGTH_CELLS = 10
"""Cells that text lengths are compared in: deciles of the champion's lengths."""

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
    """From where on a figure is a warning and from where on a failure."""

    psi_warn: float = 0.1
    psi_fail: float = 0.25
    js_warn: float = 0.02
    js_fail: float = 0.05
    min_rows: int = 200
    """Fewest rows on either side; below it nothing is compared."""
    unseen_warn: float = 0.05
    """Excess of words that the champion has not seen, as a share of all words."""
    unseen_fail: float = 0.15
    min_tokens: int = 1000
    """Fewest words on either side; below it vocabularies are not compared."""


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
    def noise_js(self) -> float | None:
        """The noise level in terms of JS: for small changes JS ≈ PSI / (8 ln 2) (both are then χ² like)."""
        return None if self.noise_psi is None else self.noise_psi / (8 * float(np.log(2)))

    @property
    def excess(self) -> float | None:
        """How much larger the share of unseen words is than then."""
        if self.unseen is None or self.unseen_then is None:
            return None
        return self.unseen - self.unseen_then

    def level(self, levels: Levels) -> Literal["ok", "warn", "fail"] | None:
        """The worst of the figures' levels, none if not compared. Noise is `ok` whatever its size."""
        if self.excess is not None and self.noise_unseen is not None:
            if self.excess >= max(levels.unseen_fail, self.noise_unseen):
                return "fail"
            return "warn" if self.excess >= max(levels.unseen_warn, self.noise_unseen) else "ok"
        if self.psi is None or self.js is None or self.noise_psi is None or self.noise_js is None:
            return None
        if self.psi >= max(levels.psi_fail, self.noise_psi) or self.js >= max(levels.js_fail, self.noise_js):
            return "fail"
        if self.psi >= max(levels.psi_warn, self.noise_psi) or self.js >= max(levels.js_warn, self.noise_js):
            return "warn"
        return "ok"


def figure_names(drift: Drift) -> tuple[str, str, str]:
    """Under which names the PSI, the JS and the excess of unseen words of a comparison are judged."""
    psi, js, unseen = (f"{name}:{drift.subject}:{drift.split}" for name in ("psi", "js", "unseen"))
    return psi, js, unseen


def figures(comparisons: Sequence[Drift]) -> dict[str, float]:
    """Name → PSI, JS or excess of every comparison that could be made."""
    found: dict[str, float] = {}
    for one in comparisons:
        psi, js, unseen = figure_names(one)
        if one.excess is not None:
            found[unseen] = one.excess
        if one.psi is not None and one.js is not None:
            found |= {psi: one.psi, js: one.js}
    return found


def shares(counts: ArrayLike) -> NDArray[np.float64]:
    """Counts (K,) as shares (K,), each count raised by one half."""
    raised = np.asarray(counts, dtype=np.float64) + 0.5
    return np.asarray(raised / raised.sum())


def population_stability_index(now: ArrayLike, then: ArrayLike) -> float:
    """PSI of two arrays of counts (K,) over the same cells, in nats, ≥ 0; symmetric."""
    p, q = shares(now), shares(then)
    return float(np.sum((p - q) * np.log(p / q)))


def jensen_shannon(now: ArrayLike, then: ArrayLike) -> float:
    """Jensen–Shannon divergence of two arrays of counts (K,), in bits, in [0, 1]; symmetric."""
    p, q = shares(now), shares(then)
    middle = (p + q) / 2
    return float(np.clip((np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2, 0.0, 1.0))


def noise_level(cells: int, rows: int, rows_then: int) -> float:
    """99% quantile of PSI between two samples of one distribution.

    χ² by the Wilson–Hilferty cube (1931), within 2% of the exact quantile for two cells or more.
    """
    freedom = max(cells - 1, 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + NOISE_CONFIDENCE_Z * np.sqrt(spread)) ** 3
    return float((1 / rows + 1 / rows_then) * quantile)


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
    head: str, split: str, kind: str, now: Mapping[str, Any], then: Mapping[str, Any] | None, levels: Levels
) -> Drift:
    rows, rows_then = int(now["labelled"]), None if then is None else int(then["labelled"])
    state = _state(rows, rows_then, levels)
    known: dict[str, Any] = {"subject": head, "head": head, "split": split, "state": state, "rows": rows}
    if then is None or rows_then is None or state != "compared":
        return Drift(**known, rows_then=rows_then or 0)
    names = sorted({*now["counts"], *then["counts"]})
    a = np.array([now["counts"].get(name, 0) for name in names], dtype=np.float64)
    b = np.array([then["counts"].get(name, 0) for name in names], dtype=np.float64)
    if kind == "multilabel":
        # Rows that leave this one label unknown say nothing about it.
        known_a = [rows - now.get("unknown", {}).get(name, 0) for name in names]
        known_b = [rows_then - then.get("unknown", {}).get(name, 0) for name in names]
        coins = [
            ((x, max(n - x, 0)), (y, max(m - y, 0)))
            for x, n, y, m in zip(a, known_a, b, known_b, strict=True)
        ]
        psi = sum((population_stability_index(x, y) for x, y in coins), 0.0)
        js = max((jensen_shannon(x, y) for x, y in coins), default=0.0)
        cells = len(names) + 1
    else:
        psi, js, cells = population_stability_index(a, b), jensen_shannon(a, b), len(names)
    return Drift(
        **known,
        rows_then=rows_then,
        psi=psi,
        js=js,
        noise_psi=noise_level(cells, rows, rows_then),
        moved=_moved(names, a / rows, b / rows_then),
    )


def _lengths(split: str, now: Mapping[str, Any], then: Mapping[str, Any] | None, levels: Levels) -> Drift:
    rows = int(np.sum(now["histogram"]["counts"]))
    rows_then = None if then is None else int(np.sum(then["histogram"]["counts"]))
    state = _state(rows, rows_then, levels)
    known: dict[str, Any] = {
        "subject": "text length",
        "head": None,
        "split": split,
        "state": state,
        "rows": rows,
    }
    if then is None or rows_then is None or state != "compared":
        return Drift(**known, rows_then=rows_then or 0)
    edges = _deciles(then["histogram"])
    a, b = rebin(now["histogram"], edges), rebin(then["histogram"], edges)
    names = [f"{low:.0f}–{high:.0f} characters" for low, high in pairwise(edges)]
    return Drift(
        **known,
        rows_then=rows_then,
        psi=population_stability_index(a, b),
        js=jensen_shannon(a, b),
        noise_psi=noise_level(len(a), rows, rows_then),
        moved=_moved(names, a / rows, b / rows_then),
    )


def rebin(histogram: Mapping[str, Any], edges: ArrayLike) -> NDArray[np.float64]:
    """Counts of a histogram between other edges (K+1,): (K,), spread evenly within each old bin.

    What lies outside goes into the first and last cell, so that nothing is lost.
    """
    old = np.asarray(histogram["edges"], dtype=np.float64)
    below = np.concatenate([[0.0], np.cumsum(np.asarray(histogram["counts"], dtype=np.float64))])
    inner = np.interp(np.asarray(edges, dtype=np.float64)[1:-1], old, below)
    return np.diff(np.concatenate([[0.0], inner, [below[-1]]]))


def _deciles(histogram: Mapping[str, Any]) -> NDArray[np.float64]:
    old = np.asarray(histogram["edges"], dtype=np.float64)
    below = np.concatenate([[0.0], np.cumsum(np.asarray(histogram["counts"], dtype=np.float64))])
    # Empty bins would make the inverse of the cumulative count ambiguous: keep the rising steps only.
    rising = np.concatenate([[True], np.diff(below) > 0])
    wanted = np.linspace(0, below[-1], LENGTH_CELLS + 1)
    return np.asarray(np.unique(np.interp(wanted, below[rising], old[rising])))


def _moved(
    names: Sequence[str], now: NDArray[np.float64], then: NDArray[np.float64]
) -> tuple[tuple[str, float, float], ...]:
    order = np.argsort(-np.abs(now - then), kind="stable")[:3]
    return tuple((names[i], float(then[i]), float(now[i])) for i in order if now[i] != then[i])
