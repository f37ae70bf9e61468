"""Judge the merged data and write its report."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.chances import head_chances, share_alone
from expectations.data.gate import judge_data
from expectations.gates.scores import read_groups
from expectations.spec import DataRules, GateRules
from model.files import read_json, write_json
from model.references import Run
from release.champion import ChampionRef
from report.progress import Step, print_line
from report.quality.pages import Quality, write_quality
from sources.dataset import DatasetRef


@task(name="validate", cache_policy=NO_CACHE)
def validate_data(
    data: DatasetRef,
    run: Run,
    rules: DataRules,
    *,
    gates: GateRules,
    champion: ChampionRef | None,
    base: Path | None = None,
) -> Quality:
    """The data gate's verdict, with the data quality report, Data Docs and offending rows written; and what
    chance an equally good model has on the test rows.

    Args:
        gates: the margins of the heads.
        base: the configuration's folder, which `expectations.modules` start from.

    Raises:
        expectations.data.custom_functions.CustomRulesError: a file of `expectations.modules` cannot be used.
        expectations.data.tables.DatasetError: the dataset folder is not whole.
    """
    profile = read_json(run.profile)
    tokens = profile["tokens"]
    before = champion.profile or None if champion else None
    with Step("chances of an equally good model"):
        chances = head_chances(
            profile,
            data.heads,
            gates,
            alone=share_alone(read_groups(Path(data.path))),
            champion=champion.verdict if champion else None,
        )
        write_json(run.folder / "chances.json", [one.to_json() for one in chances])
    for one in chances:
        print_line(f"  {one.line}")
    with Step("judge the data") as step:
        judged = judge_data(
            Path(data.path),
            rules,
            data.heads,
            run.reports,
            champion_profile=before,
            token_lengths=tokens,
            base=base,
        )
        quality = write_quality(
            Path(data.path),
            judged,
            run.reports,
            name=run.name,
            champion_profile=before,
            token_lengths=tokens,
            chances=chances,
        )
        remarks = len(quality.warnings)
        step.outcome = f"{quality.verdict.outcome}: {quality.looked_at} expectations, {remarks} with remarks"
    return quality
