"""The data quality page: what was merged, what was expected of it, and what it looks like.

One self-contained page that shows counts, labels, files and lines, and never a text. Everything is escaped.
This module puts its sections together and tells the expectations; does not judge (`expectations.data.gate`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from markupsafe import Markup

from expectations.data.check import CheckResult, RuleOutcome
from expectations.data.gate import DataVerdict
from expectations.data.tables import load_profile
from expectations.spec import Severity
from model.files import write_bytes
from model.spec import SPLITS
from report.page import (
    Section,
    badge,
    breakable,
    folded,
    join,
    page,
    paragraph,
    section,
    subheading,
    table,
)
from report.quality.drift import drift_section
from report.quality.labels import labels_section, together_section
from report.quality.lengths import lengths_section
from report.quality.offenders import offenders_section
from report.quality.sources import sources_section

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
OUTCOMES: tuple[RuleOutcome, ...] = get_args(RuleOutcome)


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
        expectations.data.tables.DatasetError: the dataset folder has no readable profile.
    """
    profile = load_profile(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    together = together_section(dataset, profile)
    sections = [
        *_attention(judged.results),
        sources_section(dataset, profile),
        _expectations(judged),
        labels_section(profile, champion_profile),
        *([] if together is None else [together]),
        lengths_section(profile, champion_profile, token_lengths),
        drift_section(judged.drift, judged.drift_levels),
        offenders_section(judged, out.parent),
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
    write_bytes(out, html.encode("utf-8"))
    return out


def _worst(results: Sequence[CheckResult]) -> list[CheckResult]:
    """What stops the run or, where nothing does, what is not met or could not be evaluated."""
    return [r for r in results if r.stops] or [r for r in results if r.outcome in OUTCOMES[:2]]


def _attention(results: Sequence[CheckResult]) -> list[Section]:
    worst = _worst(results)
    if not worst:
        return []
    stops = any(r.stops for r in worst)
    return [
        section(
            "What stops this run" if stops else "What to look at",
            _rules(worst),
            lead="Nothing is trained until these are mended."
            if stops
            else "Reported; they do not stop the run.",
        )
    ]


def _expectations(judged: DataVerdict) -> Section:
    counts: Counter[tuple[str, str]] = Counter((r.check.severity, r.outcome) for r in judged.results)
    summary = table(
        ("Severity", *(badge(outcome) for outcome in OUTCOMES)),
        [
            (severity, *(counts[severity, outcome] or None for outcome in OUTCOMES))
            for severity in SEVERITIES
            if any(r.check.severity == severity for r in judged.results)
        ],
        numeric=set(range(1, len(OUTCOMES) + 1)),
    )
    ordered = sorted(
        judged.results, key=lambda r: (OUTCOMES.index(r.outcome), SEVERITIES.index(r.check.severity))
    )
    shown = _worst(judged.results)
    open_ones = [r for r in ordered if r.outcome not in ("met", "not looked at") and r not in shown]
    quiet = [r for r in ordered if r.outcome in ("met", "not looked at")]
    parts: list[object] = [summary]
    if open_ones:
        broken = any(r.outcome in OUTCOMES[:2] for r in open_ones)
        parts.append(subheading("Reported" if broken else "Kept within its tolerance"))
        parts.append(_rules(open_ones))
    elif not shown:
        parts.append(paragraph("Every rule that was looked at is met."))
    if quiet:
        parts.append(folded(f"{len(quiet):,} rules that are met or were not looked at", _rules(quiet)))
    return section(
        "Expectations",
        join(*parts),
        lead="Only a critical rule that is not met, or could not be evaluated, stops the run."
        + (f" The {len(shown):,} above are counted here and not listed again." if shown else ""),
    )


def _rules(results: Sequence[CheckResult]) -> Markup:
    rows = [
        (badge(r.outcome), r.check.severity, breakable(r.subject), r.check.expected, r.reason)
        for r in results
    ]
    return table(("Outcome", "Severity", "Rule", "Expected", "Seen"), rows, wide={4})
