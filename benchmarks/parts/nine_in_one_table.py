"""The tables of `benchmarks.nine_in_one`: each head in both sizes, and light against whole."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.support.measures import WIDTH, Measure, aligned, shown

Record = Mapping[str, Any]

PUBLISHED = (
    "published (nine heads; DistilBERT and, light, TinyBERT of 4 layers): "
    "42% less time, 1.5 GB instead of 2.9 GB, 1.5 points less"
)


def tables_of(whole: Record, light: Record, answering: Record) -> str:
    """Both tables, and the published comparison."""
    texts = ", ".join(f"{count:,} {split}" for split, count in whole["texts"].items())
    recipe = whole["recipe"]
    title = (
        f"texts: {texts}; {recipe['epochs']} epochs at {recipe['learning_rate']:g}, "
        f"{recipe['threads']} threads, seed {recipe['seed']}"
    )
    tables = [head_table(whole, light), size_table(whole, light, answering)]
    return "\n\n".join([textwrap.fill(title, WIDTH), *tables, textwrap.fill(PUBLISHED, WIDTH)])


def head_table(whole: Record, light: Record) -> str:
    """One line a head, and their mean: shared model, baseline and difference in both sizes."""
    lines = [["head", "metric", "train", "test"]]
    lines[0] += [f"{size}: {what}" for size in ("whole", "light") for what in ("shared", "baseline", "diff.")]
    for head, metric in whole["metric"].items():
        rows = [f"{whole['labelled'][split][head]:,}" for split in ("train", "test")]
        lines.append([head, metric, *rows])
        for record in (whole, light):
            lines[-1] += _three(record["shared"][head], record["baseline"][head])
    lines.append(["mean", "", "", ""])
    for record in (whole, light):
        lines[-1] += _three(_mean(record["shared"]), _mean(record["baseline"]))
    return aligned(lines)


def size_table(whole: Record, light: Record, answering: Record) -> str:
    """One line a measure: whole, light, and light by whole (light − whole for metrics)."""
    lines = [["measure", "whole", "light", "light by whole"]]
    for name, values in _sizes(whole, light, answering).items():
        lines.append([name, shown(values[0]), shown(values[1]), f"{values[1] / values[0]:.2f}"])
    for name, metrics in _means(whole, light).items():
        lines.append([name, *(f"{value:+.4f}" for value in (*metrics, metrics[1] - metrics[0]))])
    return aligned(lines)


def measures_of(whole: Record, light: Record, answering: Record) -> list[Measure]:
    """The figures of both tables, one by one."""
    measures = []
    for name, values in {**_sizes(whole, light, answering), **_means(whole, light)}.items():
        measures += [
            Measure(f"{name}: {size}", v) for size, v in zip(("whole", "light"), values, strict=True)
        ]
    for size, record in (("whole", whole), ("light", light)):
        for head in record["metric"]:
            measures.append(Measure(f"{head}, {size}: shared", record["shared"][head]))
            measures.append(Measure(f"{head}, {size}: baseline", record["baseline"][head]))
    control = answering["median_ms"]["control"] / answering["median_ms"]["whole"]
    return [*measures, Measure("answering: the whole bundle by itself (A/A)", control, "×")]


def _sizes(whole: Record, light: Record, answering: Record) -> dict[str, tuple[float, float]]:
    """Measure → (whole, light), each above zero."""
    pairs: dict[str, tuple[float, float]] = {}
    both = (whole, light)

    def add(name: str, values: list[float]) -> None:
        pairs[name] = (values[0], values[1])

    add("training: shared model, s", [r["seconds"] for r in both])
    add("training: nine baselines, s", [r["baseline_seconds"] for r in both])
    add("training: shared by baselines", [r["seconds"] / r["baseline_seconds"] for r in both])
    add("training: shared, processor s", [r["cpu_seconds"] for r in both])
    add("training: nine baselines, processor s", [r["baseline_cpu_seconds"] for r in both])
    if all(r["teaching_seconds"] for r in both):
        add("training: the baselines' answers, s", [r["teaching_seconds"] for r in both])
    add("training: peak memory, shared, MiB", [r["peak_mib"] for r in both])
    add("training: peak memory, largest baseline, MiB", [r["baseline_peak_mib"] for r in both])
    for name, unit in (("median_ms", "one text, median ms"), ("peak_mib", "peak memory, MiB")):
        add(f"answering: {unit}", [answering[name][size] for size in ("whole", "light")])
    add("bundle, MB", [answering["bundle_mb"][size] for size in ("whole", "light")])
    return pairs


def _means(whole: Record, light: Record) -> dict[str, tuple[float, float]]:
    """Measure → (whole, light), in units of the metrics."""
    shared, baseline = ([_mean(r[model]) for r in (whole, light)] for model in ("shared", "baseline"))
    return {
        "mean metric, shared": (shared[0], shared[1]),
        "mean metric, baselines": (baseline[0], baseline[1]),
        "mean of shared - baseline": (shared[0] - baseline[0], shared[1] - baseline[1]),
    }


def _mean(metrics: Mapping[str, float]) -> float:
    return float(np.mean(list(metrics.values())))


def _three(shared: float, baseline: float) -> list[str]:
    return [f"{shared:.3f}", f"{baseline:.3f}", f"{shared - baseline:+.3f}"]
