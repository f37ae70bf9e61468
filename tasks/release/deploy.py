"""Make the endpoint serve the champion and try it there; go back if it does not answer as it was judged."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.spec import RegistrySpec
from release.targets.deploy import DeployOutcome, deploy_version
from report.progress import Step
from serving.spec import DeploySpec


@task(name="deploy", task_run_name="deploy", cache_policy=NO_CACHE, persist_result=False)
def deploy(home: Home, name: str, registry: RegistrySpec, spec: DeploySpec, version: int) -> DeployOutcome:
    """Make the endpoint of `name` serve `version`, which was promoted, or restore the former one.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached while the alias must go back.
    """
    with Step("deploy") as step:
        outcome = deploy_version(home, name, registry, spec, version)
        step.outcome = f"version {version} at {outcome.url}" if outcome.deployed else outcome.reason
    return outcome
