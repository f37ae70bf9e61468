"""Parts of the release report: each head, training, latency and memory, the data.

Pure: plain data in, sections out. Knows the files' formats, not where they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from expectations.gates.head_metrics import confusion, expected_calibration_error, per_label
from expectations.gates.scores import HeadScores
from expectations.gates.timings import Floats, Timings
from model.spec import SPLITS, HeadSpec
from report.charts.bars import bar_chart, histogram
from report.charts.release import BASELINE, SHARED, confusion_chart, latency_chart, line_chart
from report.page import Section, folded, grid, join, paragraph, section, subheading, table

MOST_LABELS_DRAWN = 30
"""Beyond this many labels a matrix or a row of bars is a texture: the most telling ones are listed."""
MOST_LABELS_OPEN = 12
"""Longer tables of labels stand behind a line that opens them."""
SMOOTHING_POINTS = 60
"""Points that a curve of training losses is averaged down to."""
MOST_PAIRS = 15
"""Labels apart, or confusions where no matrix shows them, that are listed."""
MOST_PAIRS_BESIDE = 8
"""Confusions that are listed beside a matrix."""
MIB = 2**20


def head_sections(
    heads: Mapping[str, HeadSpec],
    shared: Mapping[str, HeadScores],
    baselines: Mapping[str, HeadScores],
    calibrations: Mapping[str, Mapping[str, Any]],
) -> Iterator[Section]:
    """One section a head: confusions or bars by label, the labels' figures, calibration."""
    for name, head in heads.items():
        title = f"Head {name}"
        scores, baseline = shared.get(name), baselines.get(name)
        if scores is None or not scores.labelled.any():
            yield section(
                title, paragraph("The shared model was not scored on any labelled row of this head.")
            )
            continue
        lead = (
            f"{head.kind}, {len(head.labels)} labels, {int(scores.labelled.sum()):,} labelled test rows; "
            f"the gate compares {head.primary_metric}."
        )
        drawn = _confusions(scores) if head.kind == "multiclass" else _label_bars(scores, baseline)
        calibrated = _calibration(scores, calibrations.get(name))
        labels = join(subheading("Every label"), _label_table(scores, baseline))
        if len(head.labels) > MOST_LABELS_OPEN:
            summary = f"Precision, recall and F1 of all {len(head.labels)} labels"
            labels = folded(summary, _label_table(scores, baseline))
        yield section(title, join(drawn, labels, calibrated), lead=lead)


def training_section(
    heads: Mapping[str, HeadSpec],
    histories: Mapping[str, Mapping[str, Any]],
    bundles: Mapping[str, Mapping[str, Any]],
) -> Section:
    """Training loss and validation metric over epochs, shared model and baseline, and what it took."""
    charts = []
    for head, spec in heads.items():
        runs = {"shared": histories.get("shared"), "baseline": histories.get(f"baseline:{head}")}
        found = {name: history for name, history in runs.items() if history}
        losses = {name: _losses(history, head) for name, history in found.items()}
        metrics = {name: _metrics(history, head) for name, history in found.items()}
        metric = f"validation {spec.primary_metric}"
        charts.append(line_chart(f"{head}: training loss", losses, x="epoch", y="loss"))
        charts.append(line_chart(f"{head}: {metric}", metrics, x="epoch", y=metric, dots=True))
    lead = (
        "Losses of a head are brought to one scale; the shared model's may include its teachers' part, so "
        "its level is not comparable with the baseline's, its course is."
    )
    known = [key for key in _BUNDLE_FACTS if any(key in facts for facts in bundles.values())]
    rows = [
        [name, *(_BUNDLE_FACTS[key][1](facts.get(key)) for key in known)] for name, facts in bundles.items()
    ]
    headings = ["Model", *(_BUNDLE_FACTS[key][0] for key in known)]
    took = table(headings, rows, [headings.index(h) for h in headings if h in _NUMERIC_FACTS], wide=[])
    return section(
        "Training", join(grid(charts), *([subheading("What it took"), took] if rows else [])), lead=lead
    )


def latency_section(timings: Timings | None) -> Section:
    """Latencies of every bundle, their course over the run, memory and size."""
    if timings is None or not timings.bundles:
        return section("Latency and memory", paragraph("Nothing was timed."))
    names = sorted(timings.bundles, key=_bundle_order)
    alone = [name for name in names if name.startswith("baseline:")]
    latencies = {name: _finite(timings.of(name)) for name in names}
    drawn = {name: values for name, values in latencies.items() if values.size}
    if len(alone) > 1 and len({latencies[name].size for name in alone}) == 1:
        drawn["all baselines in turn"] = np.sum([latencies[name] for name in alone], axis=0)
    rows = [
        [
            name,
            latencies[name].size,
            *(_percentile(latencies[name], q) for q in (50, 95, 99)),
            *(_median_part(timings, part, name) for part in ("tokenise_ms", "encode_ms")),
            _rounded(timings.peak_rss_mb.get(name)),
            _rounded(timings.bundle_bytes[name] / MIB if name in timings.bundle_bytes else None),
        ]
        for name in names
    ]
    headings = ["Bundle", "Requests", "p50 ms", "p95 ms", "p99 ms", "Tokenise p50 ms", "Graph p50 ms"]
    figures = table([*headings, "Peak RSS MiB", "Size MiB"], rows, range(1, 9))
    course: dict[str, list[tuple[float, float]]] = {
        name: [(float(block), float(ms)) for block, ms in enumerate(timings.block_medians(name))]
        for name in ("shared", "control")
        if name in timings.bundles
    }
    charts = [line_chart("Median of each block", course, x="block, in the order measured", y="ms")]
    if timings.tokens is not None:
        charts.append(
            line_chart("Median by length of text", _by_length(timings), x="tokens", y="ms", dots=True)
        )
    where = ", ".join(f"{key}: {value}" for key, value in timings.machine.items() if value is not None)
    lead = (
        f"One text a request, each bundle in a process of its own at {timings.threads} threads, in random "
        "turns. “control” is a second process of the shared bundle: what differs between the two is the "
        f"machine. {where}"
    )
    parts = [latency_chart(drawn) if drawn else Markup(""), figures, subheading("Course"), grid(charts)]
    return section("Latency and memory", join(*parts), lead=lead)


def data_section(heads: Mapping[str, HeadSpec], profile: Mapping[str, Any]) -> Section:
    """Labelled rows by head and split, lengths of texts, label frequencies."""
    if not profile:
        return section("Data", paragraph("The dataset left no profile."))
    known = profile.get("heads") or {}
    rows = [
        [name, head.kind, len(head.labels), *(_labelled(known, name, split) for split in SPLITS)]
        for name, head in heads.items()
    ]
    headings = ["Head", "Kind", "Labels", *(f"Labelled {split} rows" for split in SPLITS)]
    charts = [
        *_lengths(profile),
        *(_frequencies(name, known.get(name) or {}) for name in heads if _counts(known.get(name) or {})),
    ]
    return section(
        "Data", join(table(headings, rows, range(2, 6)), subheading("Texts and labels"), grid(charts))
    )


def _confusions(scores: HeadScores) -> Markup:
    counts, labels = confusion(scores), scores.labels
    off = counts.copy()
    np.fill_diagonal(off, 0)
    small, drawable = len(labels) <= MOST_LABELS_OPEN, len(labels) <= MOST_LABELS_DRAWN
    order = np.argsort(-off, axis=None, kind="stable")[: MOST_PAIRS_BESIDE if small else MOST_PAIRS]
    pairs = [divmod(int(at), len(labels)) for at in order if off.flat[at]]
    rows = [
        [labels[i], labels[j], int(off[i, j]), f"{off[i, j] / max(counts[i].sum(), 1):.1%}"] for i, j in pairs
    ]
    worst = table(["True label", "Answered as", "Rows", "Share"], rows, [2, 3], empty="No confusion.")
    caption = subheading("Most frequent confusions")
    if not drawable:
        return join(caption, worst)
    drawn = confusion_chart("Confusion matrix of the shared model", labels, counts)
    return (
        grid([drawn, join(caption, worst)])
        if small
        else join(drawn, folded("Most frequent confusions", worst))
    )


def _label_bars(scores: HeadScores, baseline: HeadScores | None) -> Markup:
    """F1 of the most frequent labels, and the labels in which the two models differ most."""
    ours = per_label(scores)
    theirs = per_label(baseline) if baseline is not None else []
    by_support = sorted(range(len(ours)), key=lambda at: -ours[at].support)[:MOST_LABELS_DRAWN]
    series = {"shared": [ours[at].f1 for at in by_support]}
    if theirs:
        series["baseline"] = [theirs[at].f1 for at in by_support]
    bars = bar_chart(
        "F1 by label, most frequent first",
        [ours[at].label for at in by_support],
        series,
        unit="F1 on the test rows",
        write=lambda value: f"{value:.2f}",
        colours={"shared": SHARED, "baseline": BASELINE},
    )
    if not theirs:
        return grid([bars])
    apart = sorted(zip(ours, theirs, strict=True), key=lambda pair: -abs(pair[0].f1 - pair[1].f1))
    rows = [
        [one.label, one.support, f"{one.f1:.3f}", f"{other.f1:.3f}", f"{one.f1 - other.f1:+.3f}"]
        for one, other in apart[:MOST_PAIRS]
    ]
    headings = ["Label", "Test rows", "F1, shared", "F1, baseline", "Difference"]
    return grid([bars, join(subheading("Labels that differ most"), table(headings, rows, range(1, 5)))])


def _label_table(scores: HeadScores, baseline: HeadScores | None) -> Markup:
    theirs = per_label(baseline) if baseline is not None else None
    rows = []
    for at, label in enumerate(per_label(scores)):
        other = theirs[at] if theirs is not None else None
        rows.append(
            [
                label.label,
                label.support,
                *(f"{value:.3f}" for value in (label.precision, label.recall, label.f1)),
                *(
                    [f"{value:.3f}" for value in (other.precision, other.recall, other.f1)]
                    if other
                    else [None] * 3
                ),
                f"{label.f1 - other.f1:+.3f}" if other else None,
            ]
        )
    ours = [f"{what}, shared" for what in ("Precision", "Recall", "F1")]
    against = [f"{what}, baseline" for what in ("Precision", "Recall", "F1")]
    return table(["Label", "Test rows", *ours, *against, "F1 difference"], rows, range(1, 9))


def _calibration(scores: HeadScores, fitted: Mapping[str, Any] | None) -> Markup:
    error, fitted = expected_calibration_error(scores), fitted or {}
    before, after, temperature = (fitted.get(key) for key in ("ece_before", "ece_after", "temperature"))
    parts = []
    if all(isinstance(one, float) for one in (before, after, temperature)):
        parts.append(
            f"{before:.3f} → {after:.3f} on validation rows (temperature {temperature:.2f}, fitted there)"
        )
    if error is not None:
        parts.append(f"{error:.3f} on the test rows, as shipped")
    return paragraph(f"Expected calibration error: {', '.join(parts) or 'not known'}.")


def _losses(history: Mapping[str, Any], head: str) -> list[tuple[float, float]]:
    """The head's training loss over epochs, averaged down to a readable number of points."""
    steps, epochs = history.get("steps") or [], history.get("epochs") or []
    if not steps:
        return []
    last = max(int(point["step"]) for point in steps)
    per_epoch = last / max(len(epochs), 1)
    raw = [
        (point["step"] / per_epoch, float(point["heads"][head])) for point in steps if head in point["heads"]
    ]
    group = max(1, -(-len(raw) // SMOOTHING_POINTS))
    parts = [raw[at : at + group] for at in range(0, len(raw), group)]
    return [(float(np.mean([x for x, _ in part])), float(np.mean([y for _, y in part]))) for part in parts]


def _metrics(history: Mapping[str, Any], head: str) -> list[tuple[float, float]]:
    epochs = history.get("epochs") or []
    return [
        (float(e["epoch"]), float(e["metrics"][head])) for e in epochs if head in (e.get("metrics") or {})
    ]


def _seconds(value: Any) -> object:
    return None if value is None else f"{value:,.0f} s"


def _megabytes(value: Any) -> object:
    return None if value is None else f"{value / MIB:,.1f}"


_BUNDLE_FACTS = {
    "fit_seconds": ("Training time", _seconds),
    "cached": ("From the cache", lambda value: value),
    "precision": ("Precision", lambda value: value),
    "bytes": ("Size MiB", _megabytes),
    "precision_reason": ("Why this precision", lambda value: value),
}
"""Key of a bundle's facts → heading and how it is written."""
_NUMERIC_FACTS = ("Training time", "Size MiB")


def _bundle_order(name: str) -> tuple[int, str]:
    first = ("shared", "control", "champion")
    return (first.index(name) if name in first else len(first), name)


def _by_length(timings: Timings) -> dict[str, list[tuple[float, float]]]:
    """Median latency of the shared bundle and of a baseline, over eighths of the lengths of the texts."""
    assert timings.tokens is not None
    alone = [name for name in timings.bundles if name.startswith("baseline:")]
    found: dict[str, list[tuple[float, float]]] = {}
    for name in ["shared", *alone[:1]]:
        at = timings.bundle == name
        tokens, ms = timings.tokens[at], timings.total_ms[at]
        parts = [part for part in np.array_split(np.argsort(tokens, kind="stable"), 8) if part.size]
        found[name] = [(float(np.median(tokens[part])), float(np.median(ms[part]))) for part in parts]
    return found


def _finite(values: Floats) -> Floats:
    return np.asarray(values[np.isfinite(values)])


def _percentile(values: Floats, q: float) -> str | None:
    return f"{np.percentile(values, q):.2f}" if values.size else None


def _median_part(timings: Timings, part: str, name: str) -> str | None:
    column = timings.parts_ms.get(part)
    return None if column is None else _percentile(_finite(np.asarray(column[timings.bundle == name])), 50)


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _labelled(known: Mapping[str, Any], head: str, split: str) -> int | None:
    found = ((known.get(head) or {}).get("splits") or {}).get(split) or {}
    labelled = found.get("labelled")
    return int(labelled) if labelled is not None else None


def _counts(head: Mapping[str, Any]) -> Mapping[str, int]:
    counts = ((head.get("splits") or {}).get("train") or {}).get("counts") or {}
    return dict(counts)


def _frequencies(name: str, head: Mapping[str, Any]) -> Markup:
    counts = sorted(_counts(head).items(), key=lambda item: -item[1])[:MOST_LABELS_DRAWN]
    total = ((head.get("splits") or {}).get("train") or {}).get("labelled") or 1
    shares: Sequence[float] = [count / total for _, count in counts]
    return bar_chart(
        f"{name}: labels in training rows", [label for label, _ in counts], {"train": shares}, unit="share"
    )


def _lengths(profile: Mapping[str, Any]) -> Iterator[Markup]:
    chars = (profile.get("text_chars") or {}).get("train")
    if chars and chars.get("histogram"):
        bins = chars["histogram"]
        marks = {"median": float(chars["median"]), "p95": float(chars["p95"])}
        yield histogram(
            "Length of training texts", bins["edges"], bins["counts"], unit="characters", marks=marks
        )
    tokens = profile.get("tokens")
    if tokens:
        rows = [
            [split, found["rows"], found["median"], found["p95"], found["max"], found["truncated"]]
            for split, found in tokens["splits"].items()
        ]
        cut = f"Cut at {tokens['max_length']}"
        yield table(
            ["Split", "Texts", "Median", "p95", "Longest", cut], rows, range(1, 6), caption="Length in tokens"
        )
