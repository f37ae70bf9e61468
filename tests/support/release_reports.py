"""A release report of made-up evidence, and a reader of its page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.champion import judge_champion
from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.scores import HeadScores
from expectations.gates.selftest import synthetic_evidence
from expectations.spec import GateRules
from expectations.verdict import combine
from model.spec import HeadSpec
from report.release.page import ReleaseReport

NASTY = '<img src=x onerror="alert(1)">&"'
RULES = GateRules(resamples=200)


def answers(
    kind: str, labels: tuple[str, ...], right: float, *, rows: int = 600, seed: int = 1
) -> HeadScores:
    truth, noise = np.random.default_rng(0), np.random.default_rng(seed)
    size = len(labels)
    if kind == "multiclass":
        targets = truth.integers(0, size, rows)
        said = np.where(noise.random(rows) < right, targets, noise.integers(0, size, rows))
        probabilities = np.full((rows, size), 0.2 / size, dtype=np.float32)
        probabilities[np.arange(rows), said] += 0.8
    else:
        targets = (truth.random((rows, size)) < np.linspace(0.3, 0.03, size)).astype(np.int8)
        said = np.where(noise.random((rows, size)) < right, targets, 1 - targets).astype(np.int8)
        probabilities = 0.1 + 0.8 * said.astype(np.float32)
    return HeadScores(
        kind=kind,  # type: ignore[arg-type]
        labels=labels,
        targets=targets,
        decisions=said,
        probabilities=probabilities,
    )


def history(heads: list[str], *, epochs: int = 3, steps: int = 60) -> dict[str, Any]:
    return {
        "steps": [
            {
                "step": s,
                "epoch": 1,
                "loss": 1.0,
                "heads": {h: float(np.exp(-s / 30)) + 0.1 * len(heads) for h in heads},
            }
            for s in range(1, steps + 1)
        ],
        "epochs": [
            {
                "epoch": e,
                "step": 20 * e,
                "loss": 0.5,
                "metrics": {h: 0.5 + 0.1 * e for h in heads},
                "mean": 0.6,
            }
            for e in range(1, epochs + 1)
        ],
    }


def report(*, wide: bool = False) -> ReleaseReport:
    """A whole report; `wide` for heads with more labels than are drawn."""
    few = (NASTY, "billing", "delivery", "login", "other")
    topics = tuple(f"topic {i}" for i in range(40)) if wide else few
    feelings = tuple(f"feeling {i}" for i in range(28))
    heads = {
        "topic": HeadSpec(kind="multiclass", labels=topics),
        "emotion": HeadSpec(kind="multilabel", labels=feelings),
    }
    shared = {name: answers(head.kind, head.labels, 0.85) for name, head in heads.items()}
    baselines = {name: answers(head.kind, head.labels, 0.86, seed=2) for name, head in heads.items()}
    quiet = synthetic_evidence().timings
    timings = replace(quiet, tokens=5 + quiet.text, machine={"cpu": "a processor", "cores": 2})
    verdict = combine(
        [
            judge_accuracy(shared, baselines, RULES, heads),
            judge_champion(shared, None, RULES, heads),
            judge_latency(timings, RULES, list(heads)),
            judge_memory(timings, RULES, list(heads)),
        ]
    )
    return ReleaseReport(
        name=f"support {NASTY}",
        run="20250101T000000-abcd",
        created="2025-01-01 00:00 UTC",
        verdict=verdict,
        heads=heads,
        shared=shared,
        baselines=baselines,
        histories={"shared": history(list(heads)), **{f"baseline:{h}": history([h]) for h in heads}},
        calibrations={
            "topic": {"temperature": 1.4, "ece_before": 0.08, "ece_after": 0.03, "thresholds": None}
        },
        bundles={
            "shared": {"fit_seconds": 93.2, "cached": False, "precision": "int8", "bytes": 23_000_000},
            "baseline:topic": {"fit_seconds": 41.0, "cached": True, "precision": "int8", "bytes": 23_000_000},
        },
        timings=timings,
        profile={
            "rows": {"train": 4000, "validation": 500, "test": 600},
            "heads": {
                name: {
                    "splits": {"train": {"labelled": 4000, "counts": {label: 100 for label in head.labels}}}
                }
                for name, head in heads.items()
            },
            "text_chars": {
                "train": {
                    "median": 60,
                    "p95": 150,
                    "histogram": {"edges": [1, 20, 60, 200], "counts": [5, 70, 25]},
                }
            },
            "tokens": {
                "max_length": 128,
                "splits": {"train": {"rows": 4000, "median": 14, "p95": 33, "max": 140, "truncated": 2}},
            },
        },
        provenance={"dataset_fingerprint": "f" * 64, "versions": {"torch": "2.13.0"}, "note": NASTY},
        registered={"version": 7, "run_id": "abc"},
        deployed={"version": 7, "url": "http://127.0.0.1:8000"},
        champion="version 6",
        pages={"Data quality": "quality.html", "Elsewhere": "javascript:alert(1)"},
    )


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader
