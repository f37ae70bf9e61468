"""The release report: one self-contained page on whether a model may ship, and on what evidence.

Pure: plain data in, HTML out. Holds no text from the data; label names are escaped like everything else.
Does not know where the files lie (`report.release.gather`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from expectations.gates.champion import TEST_ROWS
from expectations.gates.figures import verdict_figures
from expectations.gates.scores import HeadScores
from expectations.gates.timings import Timings
from expectations.verdict import Finding, Verdict
from model.spec import HeadSpec
from report.chances import chances_section
from report.changes import ChangeTable, changes_section
from report.charts.intervals import has_intervals, interval_chart
from report.page import Onward, Section, badge, folded, join, page, paragraph, section, table
from report.release.became import Release
from report.release.data_section import data_section
from report.release.heads_section import head_sections
from report.release.latency_section import latency_section
from report.release.training_section import training_section
from report.release.why_section import ending_of, why_section
from report.verdict_table import COLUMNS, TEXT_COLUMNS, figure_text, table_and_line, verdict_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport(Release):
    """Everything that the page shows. What is missing stays empty, and the page names it."""

    name: str
    """Project."""
    run: str
    """Identifier of the run."""
    created: str
    """When, UTC."""
    verdict: Verdict
    """Of all release gates together."""
    heads: Mapping[str, HeadSpec]
    shared: Mapping[str, HeadScores]
    """Head → the shared bundle's answers on the test split."""
    baselines: Mapping[str, HeadScores] = field(default_factory=dict)
    """Head → its baseline's answers on the same rows."""
    histories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`shared`, `baseline:<head>` → `history.json` of the fitted folder."""
    calibrations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Head → its entry in the shared model's `calibration.json`."""
    bundles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """`shared`, `baseline:<head>` → facts: precision, bytes, fit_seconds, cached, …"""
    timings: Timings | None = None
    profile: Mapping[str, Any] = field(default_factory=dict)
    """`profile.json` of the dataset, with token lengths where measured."""
    chances: Sequence[Mapping[str, Any]] = ()
    """What the test rows could decide before anything was trained (`HeadChance.to_json`)."""
    changed: ChangeTable | None = None
    """What changed in the data since the version that served; none where nothing served."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Dataset, code, encoder, recipe, versions; nested mappings are flattened."""
    suspects: Section | None = None
    """Labels that look wrong; none where they were not searched for."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """Title → path, relative to this page, of the other pages of the run."""


def render_release(report: ReleaseReport) -> str:
    """The page as text, to be written as UTF-8."""
    ending = ending_of(report.name, report.verdict, report)
    sections = [
        why_section(ending),
        section("Verdict", _verdict(report.verdict), lead=_how_to_read(report.verdict)),
        *_changed(report),
        section("Heads", _intervals(report.verdict), lead=_INTERVALS),
        *head_sections(report.heads, report.shared, report.baselines, report.calibrations),
        training_section(report.heads, report.histories, report.bundles),
        latency_section(report.timings),
        data_section(report.heads, report.profile),
        *([chances_section(report.chances)] if report.chances else []),
        *([] if report.suspects is None else [report.suspects]),
        _provenance(report),
    ]
    return page(
        f"{report.name}: release report",
        ending.sentence(),
        sections,
        outcome=report.verdict.outcome,
        facts=list(_facts(report)),
        onward=Onward(
            links=[(title, path) for title, path in report.pages.items() if _is_beside(path)],
            next_step=ending.next_step(),
        ),
        footer=f"Run {report.run}, {report.created}. Headgate made this page from this run's evidence alone.",
    )


SINCE = " vs champion"
"""End of the subjects that compare with the version that served."""
_INTERVALS = (
    "Both models of a line answer the same test rows. Left: the metric of each model. Right: the difference "
    "between them. Lines show intervals. A head passes when the whole interval of its difference lies right "
    "of the margin, and fails when the whole interval lies left of it. Beside the majority answer, one "
    "constant answer to all texts, the margin is 0. Beside a bag of words, TF-IDF with logistic regression, "
    "a head fails only when the whole interval lies left of the margin."
)


def _facts(report: ReleaseReport) -> Iterator[tuple[object, object]]:
    passed = sum(finding.outcome == "pass" for finding in report.verdict.findings)
    yield "Checks passed", f"{passed} of {len(report.verdict.findings)}"
    yield "Registered", f"version {report.registered['version']}" if report.registered else "nothing"
    yield "Deployed", f"version {report.deployed['version']}" if report.deployed else "nothing"
    yield "Champion before", report.champion or "none"
    for figures in verdict_figures(report.verdict):
        if figures.subject == TEST_ROWS:
            yield "Compared with it on test rows", figures.metric
    for split, rows in dict(report.profile.get("rows") or {}).items():
        yield f"{split.capitalize()} rows", rows


def _how_to_read(verdict: Verdict) -> str:
    known = (figures.confidence for figures in verdict_figures(verdict))
    confidence = next((one for one in known if one is not None), None)
    if confidence is None:
        return "All checks must pass."
    return (
        "All checks must pass. The bounds in brackets decide, not the figure before them: each bound is "
        f"one-sided at {confidence:.0%} confidence. Since all checks must pass, several tests need no "
        "correction (intersection–union test: Berger 1982). The interval of the A/A control, the same model "
        "timed twice, must reach its first margin and lie within the one in brackets."
    )


def _verdict(verdict: Verdict) -> Markup:
    with_figures, line = table_and_line(verdict_rows(verdict))
    rows = [[badge(row[key]) if key == "verdict" else row[key] for key in COLUMNS] for row in with_figures]
    numeric = [at for at, key in enumerate(COLUMNS) if key not in TEXT_COLUMNS]
    shown = table(list(COLUMNS.values()), rows, numeric, empty="No gate checked anything.")
    passed = [finding for finding in verdict.findings if finding.outcome == "pass"]
    parts: list[object] = [shown, *([paragraph(line)] if line else [])]
    if passed:
        listed = table(["Verdict", "What", "Why"], map(_reason, passed), wide=[2])
        parts.append(folded(f"Why {len(passed)} checks passed", listed))
    return join(*parts)


def _reason(finding: Finding) -> list[object]:
    return [badge(finding.outcome), finding.subject, finding.reason]


def _intervals(verdict: Verdict) -> Markup:
    found = [figures for figures in verdict_figures(verdict) if has_intervals(figures)]
    return interval_chart(found) if found else paragraph("No head could be compared.")


def _provenance(report: ReleaseReport) -> Section:
    facts = [
        *((f"registered.{key}", value) for key, value in _flat(report.registered)),
        *((f"deployed.{key}", value) for key, value in _flat(report.deployed)),
        *_flat(report.provenance),
    ]
    elsewhere = [(title, path) for title, path in report.pages.items() if not _is_beside(path)]
    shown = table(["What", "Value"], [*facts, *elsewhere], wide=[1], empty="Nothing was recorded.")
    return section("Provenance", shown, lead="What this version was made from.")


def _is_beside(path: str) -> bool:
    """Whether a page can be linked to: relative to this one; anything with a scheme stays plain text."""
    return ":" not in path and not path.startswith("/")


def _changed(report: ReleaseReport) -> list[Section]:
    """What changed since the champion: metrics on the same rows, configuration and code, data."""
    if report.changed is None and not report.besides:
        return []
    rows = [
        [
            one.subject.removesuffix(SINCE),
            one.metric,
            figure_text(one.baseline.value, one.unit),
            figure_text(one.shared.value, one.unit),
            badge(one.outcome),
        ]
        for one in verdict_figures(report.verdict)
        if one.subject.endswith(SINCE) and one.comparison in ("difference", "ratio") and one.metric
    ]
    parts: list[object] = []
    if rows:
        parts.append(table(["What", "Metric", "Champion", "This version", "Verdict"], rows, {2, 3}))
    parts += map(paragraph, report.besides)
    if report.changed is None:
        return [section(f"Changed since {report.champion or 'the champion'}", join(*parts))]
    return [changes_section(report.changed, first=parts)]


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested mappings as dotted names, in their order."""
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
