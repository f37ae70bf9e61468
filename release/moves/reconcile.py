"""At the start of everything: bring what a crash left half done to a state that is right.

Afterwards the champion's alias, the pointer and a verified bundle agree (or there is no champion), no
run of a dead process is still RUNNING, and what was half written is gone. Does not retrain anything.
"""

from __future__ import annotations

import socket

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.runs import close_flow_runs
from model.faults import fault
from release.home import Home
from release.journal import Entry
from release.leftovers import remove_debris
from release.moves.fetch import ensure_present
from release.moves.restore import restore_locked
from release.moves.unfinished import settle
from release.registry.client import Registry, RegistryProblem
from release.registry.run import HOST_TAG, PID_TAG, START_TAG, close_run
from release.releases import Releases, open_releases
from release.settings import state_file
from release.spec import RegistrySpec
from release.targets.deploy import deploy_version
from serving.process import control as process
from serving.processes import process_start
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import ReleaseRefused

MOST_VERSIONS = 10**9


@task(name="reconcile", cache_policy=NO_CACHE, persist_result=False)
def reconcile(home: Home, name: str, spec: RegistrySpec, deploy: DeploySpec | None = None) -> tuple[str, ...]:
    """Mend what a crash left behind; what was mended, one sentence each.

    Args:
        home: the state folder.
        name: project.
        spec: its registry.
        deploy: how it serves; a champion whose deployment a crash cut short is then deployed first.

    Raises:
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    done = (*close_flow_runs(), *mend(home, name, spec))
    if deploy is not None:
        done += resume_deployment(home, name, spec, deploy)
    return done


def mend(home: Home, name: str, spec: RegistrySpec) -> tuple[str, ...]:
    """As `reconcile`, without Prefect and without deploying."""
    releases = open_releases(home, name, spec)
    with releases.locked():
        done = settle(releases)
        fault("settled")
        done += _verified(releases)
        fault("champion_checked")
        if releases.align():
            done.append(f"the aliases name version {releases.serving() or 'none'} again, as the pointer does")
            releases.journal.append(Entry(event="reconciled", version=releases.serving(), detail=done[-1]))
        fault("aliases_checked")
        if releases.folder.path.is_dir():
            # Under its lock nobody stages, so what is still there was left behind.
            releases.folder.prune(MOST_VERSIONS, releases.public_key)
        done += _stop_withdrawn(releases)
    done += remove_debris(home)
    fault("debris_removed")
    done += _close_runs(releases.registry, spec.experiment or name)
    fault("runs_closed")
    return tuple(done)


def resume_deployment(home: Home, name: str, spec: RegistrySpec, deploy: DeploySpec) -> tuple[str, ...]:
    """Deploy the champion if it was promoted and the process died before its deployment was verified."""
    releases = open_releases(home, name, spec)
    waiting: int | None = None
    for entry in releases.journal.entries():
        if entry.event == "promoted":
            waiting = entry.version
        elif entry.event in ("deployed", "not deployed", "rolled back", "restored", "withdrawn"):
            waiting = None
    if deploy.target != ENDPOINT and waiting is None:
        # A target does not follow the pointer by itself: where that went back, the target goes back now.
        waiting = releases.serving() if _last_deployed(releases) not in (None, releases.serving()) else None
    if waiting is None or waiting != releases.serving():
        return ()
    outcome = deploy_version(home, name, spec, deploy, waiting)
    said = "was deployed" if outcome.deployed else f"was not deployed: {outcome.reason}"
    return (f"version {waiting}, promoted before a crash, {said}",)


def _last_deployed(releases: Releases) -> int | None:
    return next((e.version for e in reversed(releases.journal.entries()) if e.event == "deployed"), None)


def _verified(releases: Releases) -> list[str]:
    """The pointer names a bundle that verifies: as it is, fetched again, or an earlier one."""
    pointer = releases.pointer()
    if pointer is None or _withdrawn(releases, pointer.version):
        return []
    done = []
    try:
        ensure_present(releases.registry, releases.folder, releases.public_key, pointer.version)
    except (ReleaseRefused, RegistryProblem) as error:
        reason = f"version {pointer.version} on disk does not verify: {error}"
        back = restore_locked(releases, pointer.version, reason)
        done.append(f"{reason}; version {back or 'none'} serves instead")
    else:
        # Also writes `current` again where it was damaged or put back.
        releases.folder.roll_back(releases.private_key, pointer.version)
    return done


def _withdrawn(releases: Releases, version: int) -> bool:
    """Whether a version was taken out of service with nothing to go back to. That its folder is missing
    does not say so: it may have been lost, and can be fetched again."""
    withdrawn = False
    for entry in releases.journal.entries():
        if entry.version == version and entry.event in ("withdrawn", "promoted", "rolled back", "restored"):
            withdrawn = entry.event == "withdrawn"
    return withdrawn


def _stop_withdrawn(releases: Releases) -> list[str]:
    """Where nothing may serve any more, what an endpoint still holds in its memory may not either."""
    file = state_file(releases.home, releases.name)
    pointer = releases.pointer()
    if pointer is None or not _withdrawn(releases, pointer.version) or process.status(file) is None:
        return []
    process.stop(file)
    return ["the endpoint was stopped: the version that it held was withdrawn"]


def _close_runs(registry: Registry, experiment: str) -> list[str]:
    """Close runs that a process of this machine opened and did not live to close."""
    done = []
    with registry.asked("close abandoned runs"):
        client = registry.client
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        for run in client.search_runs([found.experiment_id], "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            if tags.get(HOST_TAG) != socket.gethostname() or not tags.get(PID_TAG, "").isdigit():
                continue
            if str(process_start(int(tags[PID_TAG]))) == tags.get(START_TAG):
                continue
            close_run(registry, found.experiment_id, run.info.run_id, "KILLED")
            done.append(f"closed run {run.info.run_name}, which its process left open")
    return done
