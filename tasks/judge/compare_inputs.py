"""Compare what a run would be made of with what serves and with what was judged before."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.champion import ChampionRef
from release.home import Home
from release.runs.inputs import Inputs
from release.runs.standing import Standing, standing_of
from release.spec import RegistrySpec
from report.progress import Step


@task(name="compare-inputs", task_run_name="compare-inputs", cache_policy=NO_CACHE)
def compare_inputs(
    home: Home,
    name: str,
    registry: RegistrySpec,
    inputs: Inputs,
    *,
    champion: ChampionRef | None,
    least_rows: int,
) -> Standing:
    """How the inputs of project `name` stand to what was judged before.

    Args:
        least_rows: rows of a head that must have changed for a run to train.

    Raises:
        serving.store.signing.KeyProblem: the key can't be used.
    """
    with Step("compare with what was") as step:
        standing = standing_of(home, name, registry, inputs, champion=champion, least_rows=least_rows)
        step.outcome = standing.said
    return standing
