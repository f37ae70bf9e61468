"""The release report's section on latency and memory of every bundle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from expectations.gates.timings import Floats, Timings
from report.charts.latency import latency_chart
from report.charts.lines import Points, line_chart
from report.page import Section, grid, join, paragraph, section, subheading, table

MIB = 2**20
LENGTH_GROUPS = 8
"""Groups of equal size into which texts are put by their length."""


def latency_section(timings: Timings | None) -> Section:
    """Percentiles of every bundle, their course over the measurement, memory and size."""
    if timings is None or not timings.bundles:
        return section("Latency and memory", paragraph("Nothing was timed."))
    names = sorted(timings.bundles, key=_order)
    alone = [name for name in names if name.startswith("baseline:")]
    latencies = {name: _finite(timings.of(name)) for name in names}
    drawn = {n: values for n, values in latencies.items() if values.size and n not in timings.timed_as}
    if len(alone) > 1 and len({latencies[name].size for name in alone}) == 1:
        drawn["all baselines in turn"] = np.sum([latencies[name] for name in alone], axis=0)
    headings = ["Bundle", "Requests", "p50 ms", "p95 ms", "p99 ms", "Tokenizer p50 ms", "Model p50 ms"]
    headings += ["Peak memory, MiB", "Size, MiB"]
    figures = table(
        headings, [_row(timings, name) for name in names if name not in timings.timed_as], range(1, 9)
    )
    parts = [
        latency_chart(drawn) if drawn else Markup(""),
        figures,
        subheading("Course"),
        grid(_course(timings, alone)),
    ]
    where = ", ".join(f"{key} {value}" for key, value in timings.machine.items() if value is not None)
    return section(
        "Latency and memory",
        join(*parts),
        lead=_timed_once(timings)
        + f"Each request holds one text. Each bundle runs in a process of its own with {timings.threads} "
        "threads, and the bundles take turns in random order. “control” is a second process of the shared "
        f"bundle: it shows how much the machine alone varies. Machine: {where or 'not known'}.",
    )


def _timed_once(timings: Timings) -> str:
    """Which bundles stand for others, in a sentence; empty where none does."""
    if not timings.timed_as:
        return ""
    stands = ", ".join(sorted(set(timings.timed_as.values())))
    return (
        f"{stands} was timed for {', '.join(sorted(timings.timed_as))}, too: the baselines share their "
        "architecture but for the last product, and it has the smallest. "
    )


def _row(timings: Timings, name: str) -> list[object]:
    latencies, size = _finite(timings.of(name)), timings.bundle_bytes.get(name)
    at = timings.at(name)
    parts = [timings.parts_ms.get(part) for part in ("tokenise_ms", "encode_ms")]
    return [
        name,
        latencies.size,
        *(_percentile(latencies, q) for q in (50, 95, 99)),
        *(None if part is None else _percentile(_finite(part[at]), 50) for part in parts),
        _whole(timings.peak_rss_mb.get(name)),
        _whole(None if size is None else size / MIB),
    ]


def _course(timings: Timings, alone: Sequence[str]) -> list[Markup]:
    medians: dict[str, Points] = {
        name: [(float(block), float(ms)) for block, ms in enumerate(timings.block_medians(name))]
        for name in ("shared", "control")
        if name in timings.bundles
    }
    y = "median, milliseconds"
    charts = [line_chart("Median of each block", medians, x="block, in the order measured", y=y)]
    if timings.tokens is not None:
        lengths = {name: _by_length(timings, timings.tokens, name) for name in ("shared", *alone[:1])}
        charts.append(line_chart("Median by length of text", lengths, x="tokens", y=y, dots=True))
    return charts


def _by_length(timings: Timings, tokens: NDArray[np.int64], name: str) -> list[tuple[float, float]]:
    """Median length and median latency of texts of like length."""
    at = timings.at(name)
    lengths, ms = tokens[at], timings.total_ms[at]
    groups = np.array_split(np.argsort(lengths, kind="stable"), LENGTH_GROUPS)
    return [(float(np.median(lengths[group])), float(np.median(ms[group]))) for group in groups if group.size]


def _order(name: str) -> tuple[int, str]:
    first = ("shared", "control", "champion")
    return (first.index(name) if name in first else len(first), name)


def _finite(values: Floats) -> Floats:
    return np.asarray(values[np.isfinite(values)])


def _percentile(values: Floats, q: float) -> str | None:
    return f"{np.percentile(values, q):.2f}" if values.size else None


def _whole(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"
