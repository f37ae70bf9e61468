"""Judge the merged data and write its report. Does not know the rules (`expectations`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.data.gate import judge_data
from expectations.spec import DataRules
from expectations.verdict import Verdict
from model.references import Run
from release.champion import ChampionRef
from report.progress import Step
from report.quality.page import write_quality_page
from sources.dataset import DatasetRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the data gate said, and where it is shown."""

    verdict: Verdict
    warnings: tuple[str, ...]
    """Rules of lesser severity that are not met, and defects within their tolerance."""
    pages: Mapping[str, str]
    """Title → file: the data quality report, Data Docs."""
    findings: str
    """Offending rows as Parquet."""
    drifted: tuple[str, ...]
    """What moved beyond its fail level since the champion was trained."""


@task(name="validate", cache_policy=NO_CACHE)
def validate_data(
    data: DatasetRef, run: Run, rules: DataRules, *, champion: ChampionRef | None, base: Path | None = None
) -> Quality:
    """The data gate's verdict, with the data quality report, Data Docs and findings written.

    Args:
        base: the configuration's folder, which `expectations.modules` start from.

    Raises:
        expectations.data.custom_rules.OwnRulesError: a file of `expectations.modules` cannot be used.
        expectations.data.tables.DatasetError: the dataset folder is not whole.
    """
    profile = json.loads(run.profile.read_text())
    before: Mapping[str, Any] | None = champion.profile or None if champion else None
    with Step("judge the data") as step:
        judged = judge_data(
            Path(data.path),
            rules,
            data.heads,
            run.reports,
            champion_profile=before,
            token_lengths=profile["tokens"],
            base=base,
        )
        page = write_quality_page(
            Path(data.path),
            judged,
            run.reports / "quality.html",
            title=f"Data quality: {run.name}",
            champion_profile=before,
            token_lengths=profile["tokens"],
        )
        looked = [result for result in judged.results if result.outcome != "not looked at"]
        warned = [result for result in looked if result.outcome != "met"]
        step.outcome = f"{judged.verdict.outcome}: {len(looked)} expectations, {len(warned)} with remarks"
    drifted = tuple(
        f"{one.subject} ({one.split})" for one in judged.drift if one.level(judged.drift_levels) == "fail"
    )
    return Quality(
        verdict=judged.verdict,
        warnings=tuple(f"{result.subject}: {result.reason}" for result in warned),
        pages={"Data quality": str(page), "Data Docs": judged.data_docs},
        findings=judged.findings_parquet,
        drifted=drifted,
    )
