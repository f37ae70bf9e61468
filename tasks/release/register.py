"""Register a candidate with its verdict, whatever the verdict is."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion, register_version, registered_before
from release.registry.tracking.flow_run import Tracked
from release.runs.patience import patiently
from release.spec import RegistrySpec
from report.progress import Step, print_line


@task(name="register", task_run_name="register", cache_policy=NO_CACHE, persist_result=False)
def register(
    home: Home,
    name: str,
    spec: RegistrySpec,
    candidate: Candidate,
    *,
    before: int = 0,
    tracked: Tracked | None = None,
) -> RegisteredVersion:
    """Register a candidate of project `name`. A registry that is away is waited for (`registry.wait_s`).

    Args:
        before: version that it was registered as by a run that was cut short; 0 for none.
        tracked: the flow's run in MLflow, if there is one.

    Raises:
        release.registry.register.BundleChanged: the bundle is not the one that was packaged.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with Step("register") as step:
        registered = patiently(
            lambda: (
                registered_before(home, name, spec, candidate, before)
                or register_version(home, name, spec, candidate, tracked=tracked)
            ),
            spec.wait_s,
            print_line,
        )
        step.outcome = f"{registered.name} version {registered.version} ({candidate.verdict.outcome})"
    return registered
