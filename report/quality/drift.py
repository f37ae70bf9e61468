"""The quality page's section on drift: the data of this run against that of the champion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from markupsafe import Markup

from expectations.data.drift import Drift, DriftLevel, Levels
from report.page import Section, badge, folded, join, paragraph, section, table

HEADERS = (
    "Level",
    "What",
    "Split",
    "Rows",
    "Rows before",
    "PSI",
    "JS, bits",
    "New words",
    "Noise",
    "Most changed",
)


def drift_section(comparisons: Sequence[Drift], levels: Levels) -> Section:
    """Comparisons that reached a level; the others behind a line that opens them."""
    if not comparisons or all(one.state == "nothing to compare with" for one in comparisons):
        return section(
            "Drift",
            paragraph(
                "Nothing to compare with: no champion serves, or its data is not known. The next run is "
                "compared with the data of the model that serves then."
            ),
        )
    order = {"fail": 0, "warn": 1, None: 2, "ok": 3}
    ordered = sorted(comparisons, key=lambda one: order[one.level(levels)])
    remarks = [one for one in ordered if one.level(levels) in ("fail", "warn")]
    quiet = [one for one in ordered if one not in remarks]
    empty = f"No comparison of {len(comparisons):,} reached a warning level."
    parts: list[object] = [_table(remarks, levels, empty)]
    if quiet:
        shown = _table(quiet, levels, "")
        parts.append(folded(f"{len(quiet):,} comparisons without a warning", shown))
    return section(
        "Drift",
        join(*parts),
        lead="This run's data against the data that the champion was trained on. PSI (population stability "
        f"index): {levels.psi_warn:g} is a warning, {levels.psi_fail:g} a failure. JS (Jensen–Shannon "
        f"divergence): {levels.js_warn:g} is a warning, {levels.js_fail:g} a failure. New words: share of "
        "the words that do not occur in the champion's training texts, before and now; a rise of "
        f"{levels.unseen_warn:.0%} is a warning, of {levels.unseen_fail:.0%} a failure. Noise: what two "
        "samples of equal data would differ by; a smaller figure never counts.",
    )


def _table(comparisons: Sequence[Drift], levels: Levels, empty: str) -> object:
    rows = [_row(one, levels) for one in comparisons]
    return table(HEADERS, rows, numeric={3, 4, 5, 6, 7, 8}, wide={9}, empty=empty)


def _row(one: Drift, levels: Levels) -> tuple[object, ...]:
    level = one.level(levels)
    noise = None if one.noise_psi is None else f"{one.noise_psi:.3f}"
    words = None  # share of new words
    if one.unseen is not None and one.unseen_then is not None:
        words = f"{one.unseen_then:.1%} → {one.unseen:.1%}"
        noise = None if one.noise_unseen is None else f"{one.noise_unseen:.1%}"
    moved = "; ".join(f"{name} {then:.1%} → {now:.1%}" for name, then, now in one.moved)
    return (
        _level(one.state, level),
        one.subject.replace(" ", "\u00a0"),
        one.split,
        one.rows or None,
        one.rows_then or None,
        *(None if figure is None else f"{figure:.3f}" for figure in (one.psi, one.js)),
        words,
        noise,
        moved if words is None else "",
    )


def _level(state: str, level: DriftLevel | None) -> Markup:
    match level:
        case None:
            return badge("", state)
        case "warn":
            return badge("warning")
        case "ok" | "fail":
            return badge(level)
        case _:
            assert_never(level)
