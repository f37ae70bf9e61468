"""Before anything is trained: what chance an equally good model has to pass."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.chances import HeadChance, head_chances
from expectations.scored_rows import read_groups
from expectations.spec import GateRules
from model.files import read_json, write_json
from model.references import Run
from release.champion import ChampionRef
from report.progress import Step, print_line
from sources.dataset import DatasetRef


@task(name="weigh-chances", task_run_name="weigh-chances", cache_policy=NO_CACHE)
def weigh_chances(
    data: DatasetRef, run: Run, gates: GateRules, *, champion: ChampionRef | None
) -> tuple[HeadChance, ...]:
    """What chance an equally good model has on the test rows, one for each head, kept with the run."""
    with Step("chances of an equally good model"):
        chances = head_chances(
            read_json(run.profile),
            data.heads,
            gates,
            groups=read_groups(Path(data.path)),
            champion=champion.verdict if champion else None,
        )
        write_json(run.folder / "chances.json", [one.to_json() for one in chances])
    for one in chances:
        print_line(f"  {one.line}")
    return tuple(chances)
