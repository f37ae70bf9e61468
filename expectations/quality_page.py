"""The data quality page: what was merged, what was expected of it, and what it looks like.

One self-contained page that shows counts, labels, files and lines, and never a text. Everything is escaped.
Does not judge (`expectations.data_gate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from markupsafe import Markup

from expectations.charts import COLOURS, bar_chart, heat_map, histogram
from expectations.cooccurrence import cooccurrence
from expectations.data_gate import DataVerdict
from expectations.drift import Drift, Levels, rebin
from expectations.findings import replace_file
from expectations.page import Section, badge, folded, grid, join, page, paragraph, section, subheading, table
from expectations.rule_result import RuleResult
from expectations.tables import load_profile
from model.spec import SPLITS

MOST_LABELS = 30
"""Labels drawn in a chart; the rest stands in the table."""
MOST_COOCCURRING = 20
"""Labels drawn in a heat map."""
MOST_OFFENDERS = 100
"""Offending rows listed; all of them stand in the CSV."""
MOST_OF_A_RULE = 12
"""Offending rows listed of one rule and head, so that a common defect does not hide the rare ones."""

SEVERITIES = ("critical", "warning", "info")
OUTCOMES = ("not met", "could not be evaluated", "met with defects", "met", "not looked at")
CHAMPION = "champion's training rows"


def write_quality_page(
    dataset: Path,
    judged: DataVerdict,
    out: Path,
    *,
    title: str = "Data quality",
    champion_profile: Mapping[str, Any] | None = None,
    token_lengths: Mapping[str, Any] | None = None,
) -> Path:
    """Write the page to the file `out` and return it.

    Args:
        champion_profile: profile of the data that the champion was trained on, shown beside.
        token_lengths: as for `judge_data`.

    Raises:
        expectations.tables.DatasetError: the dataset folder has no readable profile.
    """
    profile = load_profile(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    sections = [
        *_attention(judged.results),
        _sources(profile),
        _expectations(judged),
        _labels(profile, champion_profile),
        *_together(dataset, profile),
        _lengths(profile, champion_profile, token_lengths),
        _drift(judged.drift, judged.drift_levels),
        _offenders(judged),
    ]
    outcome = judged.verdict.outcome
    html = page(
        title,
        "What was merged from where, what was expected of it, and what was found. Texts are never shown.",
        sections,
        outcome=badge(outcome, "data accepted" if outcome == "pass" else "data rejected"),
        facts=[
            ("rows read", profile["observations"]),
            ("distinct texts", sum(profile["rows"].values())),
            *((f"{split} rows", profile["rows"].get(split, 0)) for split in SPLITS),
            ("sources", len(profile["sources"])),
            ("heads", len(profile["heads"])),
        ],
        footer=f"Made from the merged dataset {dataset.name} by Headgate.",
    )
    replace_file(out, html.encode("utf-8"))
    return out


def _attention(results: Sequence[RuleResult]) -> list[Section]:
    worst = [r for r in results if r.stops] or [r for r in results if r.outcome in OUTCOMES[:2]]
    if not worst:
        return []
    stops = any(r.stops for r in worst)
    rows = [(badge(r.outcome), r.severity, r.subject, r.expected, r.reason) for r in worst]
    return [
        section(
            "What stops this run" if stops else "What to look at",
            table(("Outcome", "Severity", "Rule", "Expected", "Seen"), rows, wide={4}),
            lead="Nothing is trained until these are mended."
            if stops
            else "Reported; they do not stop the run.",
        )
    ]


def _sources(profile: Mapping[str, Any]) -> Section:
    rows = []
    for one in profile["sources"]:
        files = one["files"] if isinstance(one["files"], list) else [one["files"]]
        names = ", ".join(Path(str(file)).name for file in files[:4])
        more = f" and {len(files) - 4:,} more" if len(files) > 4 else ""
        rows.append((one["name"], names + more, one["rows"], one["kept"], one["rows"] - one["kept"]))
    return section(
        "Sources",
        table(("Source", "Files", "Rows read", "Rows kept", "Left out"), rows, numeric={2, 3, 4}, wide={1}),
        lead="Rows left out have no text or a blank one. Equal texts become one row with all their labels.",
    )


def _expectations(judged: DataVerdict) -> Section:
    counts: Counter[tuple[str, str]] = Counter((r.severity, r.outcome) for r in judged.results)
    summary = table(
        ("Severity", *(badge(outcome) for outcome in OUTCOMES)),
        [
            (severity, *(counts[severity, outcome] or None for outcome in OUTCOMES))
            for severity in SEVERITIES
            if any(r.severity == severity for r in judged.results)
        ],
        numeric=set(range(1, len(OUTCOMES) + 1)),
    )
    headers = ("Outcome", "Severity", "Rule", "Expected", "Seen", "Share", "Tolerated")

    def row(r: RuleResult) -> tuple[object, ...]:
        shares = r.count is not None or r.rule in ("near_duplicates", "truncation")
        share = f"{r.observed:.2%}" if shares and r.observed is not None else None
        tolerated = f"{r.tolerance:.2%}" if shares else None
        return badge(r.outcome), r.severity, r.subject, r.expected, r.reason, share, tolerated

    ordered = sorted(judged.results, key=lambda r: (OUTCOMES.index(r.outcome), SEVERITIES.index(r.severity)))
    open_rows = [row(r) for r in ordered if r.outcome not in ("met", "not looked at")]
    quiet = [row(r) for r in ordered if r.outcome in ("met", "not looked at")]
    parts: list[object] = [summary, subheading("Broken, or kept within its tolerance")]
    parts.append(table(headers, open_rows, numeric={5, 6}, wide={3, 4}, empty="Nothing: every rule is met."))
    if quiet:
        listed = table(headers, quiet, numeric={5, 6}, wide={3, 4})
        parts.append(folded(f"{len(quiet):,} rules that are met or were not looked at", listed))
    return section(
        "Expectations",
        join(*parts),
        lead="Only a critical rule that is not met, or could not be evaluated, stops the run.",
    )


def _labels(profile: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Section:
    parts: list[object] = []
    charts: list[object] = []
    for head, known in profile["heads"].items():
        past = ((champion or {}).get("heads", {}).get(head) or {}).get("splits", {}).get("train")
        splits = known["splits"]
        train = splits["train"]["counts"]
        labels = sorted(known["labels"], key=lambda label: (-train.get(label, 0), label))
        shown = labels[:MOST_LABELS]
        series: dict[str, list[float | None]] = {
            split: _rates(splits[split], shown) for split in SPLITS if split in splits
        }
        if past is not None:
            series[CHAMPION] = _rates(past, shown)
        heading = f"{head} ({known['kind']})"
        if len(labels) > len(shown):
            heading += f": the {len(shown)} most frequent of {len(labels):,} labels"
        charts.append(
            bar_chart(heading, shown, series, unit="share of labelled rows", colours={CHAMPION: COLOURS[3]})
        )
        rows = [
            (label, *(splits[split]["counts"].get(label, 0) for split in series if split in splits))
            for label in labels
        ]
        listed = table(("Label", *(s for s in series if s in splits)), rows, numeric={1, 2, 3})
        charts[-1] = join(charts[-1], folded(f"Rows of all {len(labels):,} labels", listed))
    overview = [
        (
            head,
            known["kind"],
            split,
            figures["labelled"],
            _percent(figures["labelled"], profile["rows"].get(split, 0)),
            sum(1 for count in figures["counts"].values() if count),
            min(figures["counts"].values(), default=None),
            _entropy(figures["counts"]),
            figures.get("cardinality"),
        )
        for head, known in profile["heads"].items()
        for split, figures in known["splits"].items()
    ]
    headers = (
        "Head",
        "Kind",
        "Split",
        "Labelled",
        "Of all",
        "Labels seen",
        "Rarest label",
        "Entropy, bits",
        "Labels a row",
    )
    parts.append(table(headers, overview, numeric=set(range(3, 9))))
    parts.append(subheading("How often each label applies"))
    parts.append(grid(charts))
    return section(
        "Labels",
        join(*parts),
        lead="Per head and split; a row may be labelled for one head and not for another.",
    )


def _rates(figures: Mapping[str, Any], labels: Sequence[str]) -> list[float | None]:
    rows = figures["labelled"]
    return [figures["counts"].get(label, 0) / rows if rows else None for label in labels]


def _entropy(counts: Mapping[str, int]) -> float | None:
    """Shannon entropy of the labels that apply, in bits: 0 for one label, log2 K for K equally frequent."""
    found = np.array([count for count in counts.values() if count], dtype=np.float64)
    if not found.size:
        return None
    p = found / found.sum()
    return float(max(-np.sum(p * np.log2(p)), 0.0))


def _percent(part: float, whole: float) -> str | None:
    return f"{part / whole:.1%}" if whole else None


def _together(dataset: Path, profile: Mapping[str, Any]) -> list[Section]:
    charts = []
    for head, known in profile["heads"].items():
        if known["kind"] != "multilabel" or len(known["labels"]) < 2:
            continue
        train = known["splits"]["train"]["counts"]
        labels = sorted(known["labels"], key=lambda label: (-train.get(label, 0), label))[:MOST_COOCCURRING]
        heading = f"{head}: labels on the same text"
        if len(known["labels"]) > len(labels):
            heading += f" (the {len(labels)} most frequent)"
        charts.append(
            heat_map(
                heading,
                labels,
                cooccurrence(dataset, head, labels),
                unit="of the row's texts also have the column's",
            )
        )
    return [section("Labels that stand together", grid(charts))] if charts else []


def _lengths(
    profile: Mapping[str, Any], champion: Mapping[str, Any] | None, token_lengths: Mapping[str, Any] | None
) -> Section:
    headers = ["Split", "Shortest", "Median", "95% up to", "Longest"]
    found = {split: known for split, known in profile["text_chars"].items() if known}
    rows = [
        (split, known["min"], known["median"], known["p95"], known["max"]) for split, known in found.items()
    ]
    parts: list[object] = [table(headers, rows, numeric={1, 2, 3, 4}, caption="Characters")]
    charts = []
    now, then = _histogram(found), _histogram((champion or {}).get("text_chars") or {})
    if now is not None:
        charts.append(histogram("Length in characters, all splits", *now, unit="characters", then=then))
    if token_lengths is not None:
        limit = int(token_lengths["max_length"])
        splits = token_lengths["splits"]
        parts.append(
            table(
                ("Split", "Median", "95% up to", "Longest", f"Longer than {limit:,}", "Share cut"),
                [
                    (
                        split,
                        known.get("median"),
                        known.get("p95"),
                        known.get("max"),
                        known["truncated"],
                        _percent(known["truncated"], known["rows"]),
                    )
                    for split, known in splits.items()
                ],
                numeric={1, 2, 3, 4, 5},
                caption=f"Tokens; the model reads {limit:,}",
            )
        )
        tokens = _histogram(splits)
        if tokens is not None:
            mark = {f"cut at {limit:,}": float(limit)}
            charts.append(histogram("Length in tokens, all splits", *tokens, unit="tokens", marks=mark))
    return section("Text length", join(grid(parts), grid(charts)))


def _histogram(splits: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    """Edges and counts summed over splits; None where none has a histogram."""
    found = [known["histogram"] for known in splits.values() if known and known.get("histogram")]
    if not found:
        return None
    edges = found[0]["edges"]
    return edges, np.sum([rebin(one, edges) for one in found], axis=0).tolist()


def _drift(comparisons: Sequence[Drift], levels: Levels) -> Section:
    words = {"ok": "ok", "warn": "warning", "fail": "fail", None: ""}
    compared = [one for one in comparisons if one.state == "compared"]
    if not comparisons or all(one.state == "nothing to compare with" for one in comparisons):
        html: object = paragraph(
            "Nothing to compare with: no champion's data is known. The next run is compared with the data of "
            "the model that serves then."
        )
    else:
        headers = ("Level", "What", "Split", "Rows", "Rows then", "PSI", "Noise", "JS, bits", "Most changed")
        rows = [
            (
                badge(words[one.level(levels)]) if one in compared else badge("", one.state),
                one.subject.replace(" ", "\u00a0"),
                one.split,
                one.rows,
                one.rows_then or None,
                *(None if figure is None else f"{figure:.3f}" for figure in (one.psi, one.noise_psi, one.js)),
                "; ".join(f"{name} {then:.1%} → {now:.1%}" for name, then, now in one.moved),
            )
            for one in comparisons
        ]
        html = table(headers, rows, numeric={3, 4, 5, 6, 7}, wide={8})
    return section(
        "Drift",
        html,
        lead="Against the data that the champion was trained on. PSI: population stability index, "
        f"{levels.psi_warn:g} is a warning and {levels.psi_fail:g} a failure; JS: Jensen–Shannon divergence, "
        f"{levels.js_warn:g} and {levels.js_fail:g}. Below the noise column a PSI is what two samples of the "
        "same data would show.",
    )


def _offenders(judged: DataVerdict) -> Section:
    findings = pq.read_table(judged.findings_parquet)
    seen: Counter[tuple[str, str | None]] = Counter()
    columns = [findings[name].to_pylist() for name in ("rule", "source", "file", "line", "head", "value")]

    def kept() -> Any:
        for rule, source, file, line, head, value in zip(*columns, strict=True):
            seen[rule, head] += 1
            if seen[rule, head] <= MOST_OF_A_RULE:
                place = None if file is None else f"{Path(file).name}:{line}"
                yield rule, source, place, head, value

    rows = list(islice(kept(), MOST_OFFENDERS))
    totals = ", ".join(f"{rule} {count:,}" for rule, count in judged.finding_totals.items())
    lead = (
        f"At most {MOST_OF_A_RULE} a rule and head, {len(rows):,} in all; in truth: {totals}. "
        f"{Path(judged.findings_csv).name} holds up to 1,000 a rule."
        if rows
        else None
    )
    listed = table(
        ("Rule", "Source", "File and line", "Head", "Value"), rows, wide={2, 4}, empty="No offending rows."
    )
    docs = Markup("<p>Great Expectations' own account: <code>{}</code></p>").format(
        "/".join(Path(judged.data_docs).parts[-2:])
    )
    return section("Offending rows", join(listed, docs), lead=lead)
