"""Make a new verdict the one of a registered version."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.moves import judge_again
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion
from release.spec import RegistrySpec
from report.progress import Step


@task(name="record-verdict", task_run_name="record-verdict", cache_policy=NO_CACHE, persist_result=False)
def record_verdict(
    home: Home, name: str, registry: RegistrySpec, registered: RegisteredVersion, candidate: Candidate
) -> None:
    """Sign the verdict and put it in the place of the former one, which is kept.

    Raises:
        release.moves.judge_again.NotJudgedAgain: it passed meanwhile, or a later version was promoted.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with Step("record the verdict") as step:
        judge_again.record_verdict(home, name, registry, registered, candidate)
        step.outcome = f"{registered.name} version {registered.version} ({candidate.verdict.outcome})"
