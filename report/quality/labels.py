"""The quality page's sections on labels: figures of every head and split, how often each label applies, and
which labels stand together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from expectations.stats.cooccurrence import cooccurrence
from model.spec import SPLITS
from report.charts.bars import bar_chart
from report.charts.chart import BASELINE
from report.charts.matrix import heat_map
from report.page import Section, columns, folded, join, section, subheading, table

MOST_LABELS = 30
"""Labels in a chart; the table holds all of them."""
MOST_COOCCURRING = 20
"""Labels in a heat map."""
CHAMPION = "champion's training rows"

FIGURES = (
    "Head",
    "Split",
    "Labelled",
    "Coverage",
    "Labels that apply",
    "Rarest",
    "Imbalance",
    "Entropy, bits",
    "Labels a row",
    "Density",
)


def labels_section(profile: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Section:
    """Figures of every head and split, and a chart of every head."""
    parts: list[object] = [table(FIGURES, _figures(profile), numeric=set(range(2, len(FIGURES))))]
    alike = [
        (head, " and ".join(ascii(label) for label in group))
        for head, groups in profile.get("look_alike_labels", {}).items()
        for group in groups
    ]
    if alike:
        parts += [subheading("Labels that look alike"), table(("Head", "Labels"), alike, wide={1})]
    parts.append(subheading("How often each label applies"))
    parts.append(columns(_charts(profile, champion)))
    return section(
        "Labels",
        join(*parts),
        lead="A row may have labels for one head and none for another. Coverage: share of the split's rows "
        "that are labelled. Imbalance: rows of the most frequent label divided by rows of the rarest. "
        "Entropy: how evenly the labels apply; 100% in brackets means that all are equally frequent. "
        "Density: share of the head's labels that apply to an average row.",
    )


def _figures(profile: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for head, known in profile["heads"].items():
        names = (head, Markup('<span class="soft">{}</span>').format(known["kind"]), "")
        for at, (split, figures) in enumerate(known["splits"].items()):
            counts = [count for count in figures["counts"].values() if count]
            rows, imbalance = profile["rows"].get(split, 0), figures.get("imbalance")
            evenness = figures.get("normalised_entropy")
            even = "" if evenness is None else f" ({min(evenness, 1.0):.0%})"
            several = figures if known["kind"] == "multilabel" else {}
            yield (
                names[min(at, 2)],
                split,
                figures["labelled"],
                f"{figures['labelled'] / rows:.1%}" if rows else None,
                f"{len(counts)} of {len(figures['counts'])}",
                min(counts, default=None),
                None if imbalance is None else f"{imbalance:,.{0 if imbalance >= 10 else 1}f}×",
                _written(figures.get("entropy"), even),
                _written(several.get("cardinality")),
                _written(several.get("density")),
            )


def _written(value: float | None, more: str = "") -> str | None:
    return None if value is None else f"{value:.2f}{more}"


def _charts(profile: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Iterator[object]:
    for head, known in profile["heads"].items():
        past = ((champion or {}).get("heads", {}).get(head) or {}).get("splits", {}).get("train")
        splits = known["splits"]
        labels = _by_frequency(known)
        shown = labels[:MOST_LABELS]
        series: dict[str, list[float | None]] = {
            split: _rates(splits[split], shown) for split in SPLITS if split in splits
        }
        counted = {split: splits[split]["counts"] for split in series}
        if past is not None:
            series[CHAMPION] = _rates(past, shown)
            counted[CHAMPION] = past["counts"]
        heading = f"{head} ({known['kind']})"
        if len(labels) > len(shown):
            heading += f": the {len(shown)} most frequent of {len(labels):,} labels"
        chart = bar_chart(heading, shown, series, unit="share of labelled rows", roles={CHAMPION: BASELINE})
        rows = [(label, *(counts.get(label, 0) for counts in counted.values())) for label in labels]
        listed = table(("Label", *counted), rows, numeric=set(range(1, len(counted) + 1)), wide={0})
        yield join(chart, folded(f"Rows of all {len(labels):,} labels", listed))


def _by_frequency(known: Mapping[str, Any]) -> list[str]:
    train = known["splits"]["train"]["counts"]
    return sorted(known["labels"], key=lambda label: (-train.get(label, 0), label))


def _rates(figures: Mapping[str, Any], labels: Sequence[str]) -> list[float | None]:
    """Label by label, its share of the rows that are labelled for it; none where there are no such rows."""
    known = [figures["labelled"] - figures.get("unknown", {}).get(label, 0) for label in labels]
    counts = [figures["counts"].get(label, 0) for label in labels]
    return [count / rows if rows else None for count, rows in zip(counts, known, strict=True)]


def together_section(dataset: Path, profile: Mapping[str, Any]) -> Section | None:
    """A heat map of every multilabel head; None where there is none."""
    charts = []
    for head, known in profile["heads"].items():
        if known["kind"] != "multilabel" or len(known["labels"]) < 2:
            continue
        labels = _by_frequency(known)[:MOST_COOCCURRING]
        heading = f"{head}: labels on the same text"
        if len(known["labels"]) > len(labels):
            heading += f" (the {len(labels)} most frequent)"
        unit = "of the row's texts also have the column's"
        charts.append(heat_map(heading, labels, cooccurrence(dataset, head, labels), unit=unit))
    if not charts:
        return None
    return section(
        "Labels that stand together",
        columns(charts),
        lead="Over all splits. Only texts that are labelled for both labels count; a dash stands where there "
        "are none.",
    )
