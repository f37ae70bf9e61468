"""Judge the merged data and write its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.chances import HeadChance
from expectations.changes import Changes
from expectations.data.gate import judge_data
from expectations.data.gx.project import GxProject, keep_results
from expectations.known import Known
from expectations.seen_texts import count_seen_test_rows
from expectations.spec import DataRules
from model.files import read_json
from model.references import Run
from release.champion import ChampionRef
from release.home import Home
from report.progress import Step, print_line
from report.quality.pages import Quality, write_quality
from sources.dataset import DatasetRef


@task(name="validate", task_run_name="validate", cache_policy=NO_CACHE)
def validate_data(
    data: DatasetRef,
    run: Run,
    rules: DataRules,
    *,
    chances: Sequence[HeadChance],
    champion: ChampionRef | None,
    changed: Changes | None = None,
    base: Path | None = None,
) -> Quality:
    """The data gate's verdict, with the data quality report, Data Docs and offending rows written; and before
    anything is trained, how many test rows the champion was trained on.

    Args:
        chances: what the test rows can decide.
        changed: what changed since the champion was trained.
        base: the configuration's folder, which `expectations.modules` start from.

    Raises:
        expectations.data.custom_functions.CustomRulesError: a file of `expectations.modules` cannot be used.
        expectations.data.tables.DatasetError: the dataset folder is not whole.
    """
    tokens = read_json(run.profile)["tokens"]
    before = champion.profile or None if champion else None
    rows = ""
    if champion is not None and champion.seen is not None:
        rows = count_seen_test_rows(Path(data.path), champion.seen, data.heads).remark()
    known = Known(
        token_lengths=tokens,
        champion_profile=before,
        champion_rows=rows,
        version=champion.version if champion else None,
        changes=changed,
        chances=chances,
    )
    with Step("judge the data") as step:
        judged = judge_data(Path(data.path), rules, data.heads, run.reports, known, base)
        home = Home(run.folder.parents[1])
        place = GxProject(root=home.root, lock=home.locks / "gx.lock", name=run.name, run=run.id)
        past = keep_results(place, judged.results)
        quality = write_quality(
            Path(data.path), judged, run.reports, name=run.name, known=known, history=past
        )
        remarks = len(quality.warnings)
        step.outcome = f"{quality.verdict.outcome}: {quality.looked_at} expectations, {remarks} with remarks"
    if past.problem:
        print_line(f"  {past.problem}")
    return quality
