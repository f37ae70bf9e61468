"""Make an earlier version the champion again."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.moves import rollback
from release.targets.deploy import DeployOutcome
from report.progress import print_line


@task(name="rollback", task_run_name="rollback", cache_policy=NO_CACHE, persist_result=False)
def roll_back(home: Home, name: str, version: int | None = None) -> DeployOutcome:
    """Make the former champion of project `name`, or `version`, serve again.

    Raises:
        release.moves.rollback.RollbackRefused: there is nothing to go back to, or it may not serve.
    """
    return rollback.roll_back(home, name, version, tell=print_line)
