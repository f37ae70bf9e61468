"""The release report's section on training: losses and metrics over epochs, and what the training took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.spec import HeadSpec
from report.charts.lines import line_chart
from report.page import Section, grid, join, section, subheading, table

MOST_POINTS = 60
"""Points of a curve of training losses; more are averaged down to as many."""
MIB = 2**20

FACTS: Mapping[str, tuple[str, bool, Callable[[Any], object]]] = {
    "fit_seconds": ("Training time", True, lambda value: f"{value:,.0f} s"),
    "cached": ("From the cache", False, lambda value: value),
    "unseen": ("Fitted without, of a label's rows", True, lambda value: f"at most {value:.1%}"),
    "precision": ("Precision", False, lambda value: value),
    "bytes": ("Size, MiB", True, lambda value: f"{value / MIB:,.1f}"),
}
"""Key of a bundle's facts → its heading, whether it is a figure, and how it is written."""


def training_section(
    heads: Mapping[str, HeadSpec],
    histories: Mapping[str, Mapping[str, Any]],
    bundles: Mapping[str, Mapping[str, Any]],
) -> Section:
    """Training loss and validation metric of every head, shared model beside baseline."""
    charts = []
    for head, spec in heads.items():
        runs = {"shared": histories.get("shared"), "baseline": histories.get(f"baseline:{head}")}
        found = {name: history for name, history in runs.items() if history}
        losses = {name: _losses(history, head) for name, history in found.items()}
        metrics = {name: _metrics(history, head) for name, history in found.items()}
        metric = f"validation {spec.primary_metric}"
        charts.append(line_chart(f"{head}: training loss", losses, x="epoch", y="loss"))
        charts.append(line_chart(f"{head}: {metric}", metrics, x="epoch", y=metric, dots=True))
    facts = {key: fact for key, fact in FACTS.items() if any(key in known for known in bundles.values())}
    rows = [
        [
            name,
            *(None if known.get(key) is None else write(known[key]) for key, (_, _, write) in facts.items()),
        ]
        for name, known in bundles.items()
    ]
    headings = ["Model", *(heading for heading, _, _ in facts.values())]
    figures = [at for at, (_, figure, _) in enumerate(facts.values(), start=1) if figure]
    took = [subheading("What it took"), table(headings, rows, figures)] if rows else []
    return section(
        "Training",
        join(grid(charts), *took),
        lead="All losses of a head are on one scale. Those of the shared model may include the part of its "
        "teachers: compare the course of its loss with the baseline's, not the level.",
    )


def _losses(history: Mapping[str, Any], head: str) -> list[tuple[float, float]]:
    """The head's training loss over epochs, averaged down to a readable number of points."""
    steps, epochs = history.get("steps") or [], history.get("epochs") or []
    if not steps:
        return []
    per_epoch = max(int(point["step"]) for point in steps) / max(len(epochs), 1)
    raw = [
        (point["step"] / per_epoch, float(point["heads"][head])) for point in steps if head in point["heads"]
    ]
    group = max(1, -(-len(raw) // MOST_POINTS))
    parts = [raw[at : at + group] for at in range(0, len(raw), group)]
    return [(float(np.mean([x for x, _ in part])), float(np.mean([y for _, y in part]))) for part in parts]


def _metrics(history: Mapping[str, Any], head: str) -> list[tuple[float, float]]:
    epochs = history.get("epochs") or []
    return [
        (float(e["epoch"]), float(e["metrics"][head])) for e in epochs if head in (e.get("metrics") or {})
    ]
