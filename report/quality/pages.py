"""What shows a data verdict: the quality page, the Data Docs and the offending rows; and a summary of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expectations.data.gate import DataVerdict
from expectations.data.gx.project import History
from expectations.data.tables import load_profile
from expectations.known import Known
from expectations.verdict import Verdict, said
from report.data_docs import write_data_docs
from report.quality.page import write_quality_page
from report.quality.sources import source_remarks

QUALITY = "Data quality"
"""Title of the page on the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The data gate's verdict, and where it is shown."""

    verdict: Verdict
    warnings: tuple[str, ...]
    """Rules of lesser severity that are not met, defects within their tolerance, sources that are absent, and
    test rows that the champion was trained on."""
    pages: Mapping[str, str]
    """Title → file: the data quality report, Data Docs."""
    findings: str
    """Offending rows as Parquet."""
    drifted: tuple[str, ...]
    """What moved beyond its fail level since the champion was trained."""
    looked_at: int
    """Expectations that were looked at."""


def write_quality(
    dataset: Path,
    judged: DataVerdict,
    reports: Path,
    *,
    name: str,
    known: Known,
    history: History | None = None,
) -> Quality:
    """Write the pages into the folder `reports`; arguments as for `write_quality_page`."""
    page = write_quality_page(
        dataset,
        judged,
        reports / "quality.html",
        title=f"Data quality: {name}",
        known=known,
        history=history,
    )
    looked_at = [result for result in judged.results if result.looked_at]
    return Quality(
        verdict=judged.verdict,
        warnings=(
            *(said(r.reason) for r in looked_at if r.outcome != "met" and not r.stops),
            *map(said, source_remarks(load_profile(dataset))),
            *([said(known.champion_rows)] if known.champion_rows else []),
        ),
        pages={QUALITY: str(page), "Data Docs": str(write_data_docs(judged))},
        findings=judged.offending_parquet,
        drifted=tuple(
            f"{one.subject} ({one.split})" for one in judged.drift if one.level(judged.drift_levels) == "fail"
        ),
        looked_at=len(looked_at),
    )
