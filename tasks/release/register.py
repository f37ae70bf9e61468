"""Register a candidate with its verdict, whatever the verdict is."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.registry.candidate import Candidate
from release.registry.register import RegisteredVersion, register_version
from release.spec import RegistrySpec
from report.progress import Step


@task(name="register", cache_policy=NO_CACHE, persist_result=False)
def register(home: Home, name: str, spec: RegistrySpec, candidate: Candidate) -> RegisteredVersion:
    """Register a candidate of project `name`.

    Raises:
        release.registry.register.BundleChanged: the bundle is not the one that was packaged.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    with Step("register") as step:
        registered = register_version(home, name, spec, candidate)
        step.outcome = f"{registered.name} version {registered.version} ({candidate.verdict.outcome})"
    return registered
