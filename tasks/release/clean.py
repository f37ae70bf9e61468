"""Remove what is not kept (`release.keep.clean`)."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.keep.clean import clean as remove
from release.keep.spec import KeepSpec
from release.spec import RegistrySpec
from report.progress import Step, print_line


@task(name="clean", task_run_name="clean", cache_policy=NO_CACHE)
def clean(home: Home, name: str, registry: RegistrySpec, keep: KeepSpec) -> None:
    """Remove what project `name` does not keep.

    Raises:
        release.keep.clean.CleanBusy: another process is at it.
    """
    with Step("clean") as step:
        done = remove(home, name, registry, keep)
        step.outcome = f"{len(done.going)} removed, {done.size / 1e6:.1f} MB"
    for line in done.said:
        print_line(f"clean: {line}")
