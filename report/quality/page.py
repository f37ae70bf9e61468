"""The data quality page: what was merged, which rules it meets, and what it looks like.

The page shows counts, labels, files and lines, and never a text. This module puts the sections together and
lists the rules; it does not judge (`expectations.data.gate`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from markupsafe import Markup

from expectations.data.check import CheckResult, RuleOutcome
from expectations.data.gate import DataVerdict
from expectations.data.gx.project import History
from expectations.data.tables import load_profile
from expectations.known import NOTHING, Known
from expectations.spec import Severity
from model.files import write_bytes
from model.spec import SPLITS
from report.chances import chances_section
from report.changes import change_table, changes_section
from report.page import (
    Onward,
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
from report.quality.agreement import agreement_section
from report.quality.drift import drift_section
from report.quality.history import history_section
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
    known: Known = NOTHING,
    history: History | None = None,
) -> Path:
    """Write the page to the file `out` and return it.

    Args:
        history: what came of the expectations in former runs and this one.

    Raises:
        expectations.data.tables.DatasetError: the dataset folder has no readable profile.
    """
    from report.quality.labels import labels_section, together_section  # late: loads matplotlib
    from report.quality.lengths import lengths_section

    profile = load_profile(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    together, agreement = together_section(dataset, profile), agreement_section(profile)
    sections = [
        *_attention(judged.results),
        *_changed(known),
        *(
            [section("Test rows that the champion knows", paragraph(known.champion_rows))]
            if known.champion_rows
            else []
        ),
        sources_section(dataset, profile),
        _expectations(judged),
        *(one for one in [history_section(history)] if one is not None),
        *([chances_section([one.to_json() for one in known.chances])] if known.chances else []),
        labels_section(profile, known.champion_profile),
        *(one for one in (agreement, together) if one is not None),
        lengths_section(profile, known.champion_profile, known.token_lengths),
        drift_section(judged.drift, judged.drift_levels),
        offenders_section(judged, out.parent),
    ]
    outcome = judged.verdict.outcome
    html = page(
        title,
        _sentence(judged),
        sections,
        outcome=badge(outcome, "data accepted" if outcome == "pass" else "data rejected"),
        facts=[
            ("Rows read", profile["observations"]),
            ("Distinct texts", sum(profile["rows"].values())),
            *((f"{split.capitalize()} rows", profile["rows"].get(split, 0)) for split in SPLITS),
            ("Sources", len(profile["sources"])),
            ("Heads", len(profile["heads"])),
        ],
        onward=Onward(
            [("Data Docs", Path(os.path.relpath(judged.data_docs, out.parent)).as_posix())],
            "" if outcome == "pass" else "mend the data, or the setting that each rule names, and retrain.",
        ),
        footer=f"Headgate made this page from the merged dataset {dataset.name}.",
    )
    write_bytes(out, html.encode("utf-8"))
    return out


def _changed(known: Known) -> list[Section]:
    if known.version is None:
        return []
    return [changes_section(change_table(known.changes, known.version))]


def _sentence(judged: DataVerdict) -> str:
    """What became of the data, and what the page shows."""
    shown = "Texts are never shown."
    if judged.verdict.outcome == "pass":
        return f"The data may be trained on. {shown}"
    stopping = sum(result.stops for result in judged.results)
    rules = "1 rule is" if stopping == 1 else f"{stopping} rules are"
    return f"Nothing is trained: {rules} not met. {shown}"


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
            lead="Nothing is trained until these rules are met."
            if stops
            else "These rules do not stop the run.",
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
        parts.append(subheading("Warnings" if broken else "Within tolerance"))
        parts.append(_rules(open_ones))
    elif not shown:
        parts.append(paragraph("Every rule that applies is met."))
    if quiet:
        parts.append(folded(f"{len(quiet):,} rules that are met or do not apply", _rules(quiet)))
    return section(
        "Expectations",
        join(*parts),
        lead="A critical rule stops the run when it is not met or could not be evaluated. No other rule does."
        + (" What stands above counts here too, and is not listed again." if shown else ""),
    )


def _rules(results: Sequence[CheckResult]) -> Markup:
    rows = [
        (badge(r.outcome), r.check.severity, breakable(r.subject), r.check.expected, r.reason)
        for r in results
    ]
    return table(("Outcome", "Severity", "Rule", "Expected", "Seen"), rows, wide={3, 4})
