"""Put right what a crash left half done, before anything else happens."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from release.home import Home
from release.moves import reconcile as moves
from release.runs.patience import patiently
from release.spec import RegistrySpec
from report.progress import print_line
from serving.spec import DeploySpec


@task(name="reconcile", task_run_name="reconcile", cache_policy=NO_CACHE, persist_result=False)
def reconcile(home: Home, name: str, spec: RegistrySpec, deploy: DeploySpec | None = None) -> tuple[str, ...]:
    """Finish or undo what a crash cut short; what was done, one sentence each. A registry that is away is
    waited for (`registry.wait_s`).

    Args:
        deploy: how the project serves; a champion whose deployment a crash cut short is then deployed first.

    Raises:
        release.releases.OtherRegistry: the registry belongs to another release folder.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    done = patiently(lambda: moves.reconcile(home, name, spec), spec.wait_s, print_line)
    if deploy is not None:
        done += patiently(lambda: moves.resume_deployment(home, name, spec, deploy), spec.wait_s, print_line)
    for sentence in done:
        print_line(f"  {sentence}")
    return done
