"""The release report's sections on heads: confusions or F1 by label, figures of every label, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

import numpy as np
from markupsafe import Markup

from expectations.gates.head_metrics import LabelMetrics, confusion, expected_calibration_error, per_label
from expectations.gates.scores import HeadScores
from model.spec import HeadSpec
from report.charts.bars import bar_chart
from report.charts.chart import BASELINE, SHARED
from report.charts.matrix import confusion_chart
from report.page import Section, folded, grid, join, paragraph, section, subheading, table

MOST_LABELS_DRAWN = 30
"""Labels in a chart. A matrix of more can't be read: its most frequent confusions are listed instead."""
MOST_LABELS_OPEN = 12
"""Longer tables of labels stand behind a line that opens them."""
MOST_PAIRS = 15
"""Listed labels that differ most, or confusions where no matrix shows them."""
MOST_PAIRS_BESIDE = 8
"""Confusions that are listed beside a matrix."""


def head_sections(
    heads: Mapping[str, HeadSpec],
    shared: Mapping[str, HeadScores],
    baselines: Mapping[str, HeadScores],
    calibrations: Mapping[str, Mapping[str, Any]],
) -> Iterator[Section]:
    """One section a head."""
    for name, head in heads.items():
        title = f"Head {name}"
        scores, baseline = shared.get(name), baselines.get(name)
        if scores is None or not scores.labelled.any():
            text = "The shared model was not scored on any labelled row of this head."
            yield section(title, paragraph(text))
            continue
        match head.kind:
            case "multiclass":
                drawn = _confusions(scores)
            case "multilabel":
                drawn = _label_bars(scores, baseline)
            case _:
                assert_never(head.kind)
        labels = _label_table(scores, baseline)
        if len(head.labels) > MOST_LABELS_OPEN:
            labels = folded(f"Precision, recall and F1 of all {len(head.labels)} labels", labels)
        else:
            labels = join(subheading("Every label"), labels)
        lead = (
            f"{head.kind}, {len(head.labels)} labels, {int(scores.labelled.sum()):,} labelled test rows. "
            f"The gate compares {head.primary_metric}."
        )
        calibration = _calibration(scores, calibrations.get(name) or {})
        yield section(title, join(drawn, labels, calibration), lead=lead)


def _confusions(scores: HeadScores) -> Markup:
    counts, labels = confusion(scores), scores.labels
    off = counts.copy()
    np.fill_diagonal(off, 0)
    small = len(labels) <= MOST_LABELS_OPEN
    order = np.argsort(-off, axis=None, kind="stable")[: MOST_PAIRS_BESIDE if small else MOST_PAIRS]
    pairs = [divmod(int(at), len(labels)) for at in order if off.flat[at]]
    rows = [
        [labels[i], labels[j], int(off[i, j]), f"{off[i, j] / max(counts[i].sum(), 1):.1%}"] for i, j in pairs
    ]
    headings = ["True label", "Answered as", "Rows", "Share of the label"]
    worst = table(headings, rows, [2, 3], empty="No test row was answered with another label.")
    caption = "Most frequent confusions"
    if len(labels) > MOST_LABELS_DRAWN:
        return join(subheading(caption), worst)
    drawn = confusion_chart("Confusion matrix of the shared model", labels, counts)
    return grid([drawn, join(subheading(caption), worst)]) if small else join(drawn, folded(caption, worst))


def _label_bars(scores: HeadScores, baseline: HeadScores | None) -> Markup:
    """F1 of the most frequent labels, and the labels in which the two models differ most."""
    ours, theirs = per_label(scores), per_label(baseline) if baseline is not None else []
    tested = [at for at in range(len(ours)) if ours[at].support]
    by_support = sorted(tested, key=lambda at: -ours[at].support)[:MOST_LABELS_DRAWN]
    series: dict[str, list[float | None]] = {"shared": [ours[at].f1 for at in by_support]}
    if theirs:
        series["baseline"] = [theirs[at].f1 for at in by_support]
    bars = bar_chart(
        "F1 by label, most frequent first",
        [ours[at].label for at in by_support],
        series,
        unit="F1 on the test rows, from 0 to 1",
        write=lambda value: f"{value:.2f}",
        roles={"shared": SHARED, "baseline": BASELINE},
    )
    if not theirs:
        return grid([bars])
    apart = [
        (gap, one, other)
        for one, other in zip(ours, theirs, strict=True)
        if (gap := _gap(one, other)) is not None
    ]
    apart.sort(key=lambda known: -abs(known[0]))
    rows = [
        [one.label, one.support, _figure(one.f1), _figure(other.f1), f"{gap:+.3f}"]
        for gap, one, other in apart[:MOST_PAIRS]
    ]
    headings = ["Label", "Test rows", "F1, shared", "F1, baseline", "Difference"]
    return grid([bars, join(subheading("Labels that differ most"), table(headings, rows, range(1, 5)))])


def _label_table(scores: HeadScores, baseline: HeadScores | None) -> Markup:
    others = per_label(baseline) if baseline is not None else [None] * len(scores.labels)
    rows = [
        [
            one.label,
            one.support,
            *_figures(one),
            *_figures(other),
            None if (gap := _gap(one, other)) is None else f"{gap:+.3f}",
        ]
        for one, other in zip(per_label(scores), others, strict=True)
    ]
    figures = (
        f"{what}, {model}" for model in ("shared", "baseline") for what in ("Precision", "Recall", "F1")
    )
    return table(["Label", "Test rows", *figures, "F1 difference"], rows, range(1, 9))


def _figures(label: LabelMetrics | None) -> list[str | None]:
    if label is None:
        return [None] * 3
    return [_figure(value) for value in (label.precision, label.recall, label.f1)]


def _figure(value: float | None) -> str | None:
    """A figure of a label; unknown without test rows, which a table shows as a dash and not as 0."""
    return None if value is None else f"{value:.3f}"


def _gap(one: LabelMetrics, other: LabelMetrics | None) -> float | None:
    """How much higher the F1 of `one` is; none where one of them is unknown."""
    return None if other is None or one.f1 is None or other.f1 is None else one.f1 - other.f1


def _calibration(scores: HeadScores, fitted: Mapping[str, Any]) -> Markup:
    error = expected_calibration_error(scores)
    before, after, temperature = (fitted.get(key) for key in ("ece_before", "ece_after", "temperature"))
    parts = []
    if all(isinstance(one, float) for one in (before, after, temperature)):
        parts.append(
            f"{before:.3f} → {after:.3f} on validation rows (temperature {temperature:.2f}, fitted there)"
        )
    if error is not None:
        parts.append(f"{error:.3f} on the test rows, as shipped")
    return paragraph(f"Expected calibration error, from 0 to 1: {', '.join(parts) or 'not known'}.")
