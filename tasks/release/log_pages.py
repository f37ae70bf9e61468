"""Keep the pages of a run with the registered version."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.registry.client import open_registry
from release.registry.register import RegisteredVersion, attach
from release.runs.patience import patiently
from release.spec import RegistrySpec
from report.progress import print_line


@task(name="log-pages", task_run_name="log-pages", cache_policy=NO_CACHE, persist_result=False)
def log_pages(home: Home, name: str, spec: RegistrySpec, registered: RegisteredVersion, pages: Path) -> None:
    """Log a folder of pages to the run of a registered version, in place of the former ones. A registry that
    is away is waited for.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    patiently(
        lambda: attach(open_registry(home, name, spec), registered.run_id, pages), spec.wait_s, print_line
    )
