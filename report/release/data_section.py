"""The release report's section on the data that the version was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from model.spec import SPLITS, HeadSpec
from report.charts.bars import bar_chart
from report.charts.histogram import histogram
from report.page import Section, columns, join, paragraph, section, subheading, table

MOST_LABELS_DRAWN = 30
"""Labels of a head in its chart, the most frequent first."""


def data_section(heads: Mapping[str, HeadSpec], profile: Mapping[str, Any]) -> Section:
    """Labelled rows by head and split, lengths of texts, how often each label applies."""
    if not profile:
        return section("Data", paragraph("The dataset has no profile."))
    known = profile.get("heads") or {}
    splits = {name: (known.get(name) or {}).get("splits") or {} for name in heads}
    rows = [
        [
            name,
            head.kind,
            len(head.labels),
            *(splits[name].get(split, {}).get("labelled") for split in SPLITS),
        ]
        for name, head in heads.items()
    ]
    headings = ["Head", "Kind", "Labels", *(f"Labelled {split} rows" for split in SPLITS)]
    charts = [
        *_lengths(profile),
        *(
            _frequencies(name, found["train"])
            for name, found in splits.items()
            if found.get("train", {}).get("counts")
        ),
    ]
    return section(
        "Data", join(table(headings, rows, range(2, 6)), subheading("Texts and labels"), columns(charts))
    )


def _frequencies(name: str, train: Mapping[str, Any]) -> Markup:
    counts = sorted(train["counts"].items(), key=lambda item: -item[1])[:MOST_LABELS_DRAWN]
    labels = f"the {len(counts)} most frequent of {len(train['counts']):,} labels"
    shares = [count / (train.get("labelled") or 1) for _, count in counts]
    return bar_chart(
        f"{name}: {labels if len(counts) < len(train['counts']) else 'labels'} in training rows",
        [label for label, _ in counts],
        {"train": shares},
        unit="share of labelled rows",
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
            [split, *(found[key] for key in ("rows", "median", "p95", "max", "truncated"))]
            for split, found in tokens["splits"].items()
        ]
        headings = ["Split", "Texts", "Median", "95% up to", "Longest", f"Cut at {tokens['max_length']:,}"]
        yield table(headings, rows, range(1, 6), caption="Length in tokens")
