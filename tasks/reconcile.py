"""At the start of everything: bring what a crash left half done to a state that is right.

Afterwards the champion's alias, the pointer and a verified bundle agree (or there is no champion), no
run of a dead process is still RUNNING, and temporary folders are gone. Does not retrain anything.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from serving.manifest import ReleaseRefused
from serving.process import start_ticks
from serving.spec import DeploySpec
from tasks.deploy import deploy_version
from tasks.fetch import INCOMING, ensure_present
from tasks.home import Home
from tasks.journal import Entry, Event
from tasks.register import REGISTERING
from tasks.registry import Registry, RegistryProblem
from tasks.releases import Releases, open_releases
from tasks.restore import restore_locked
from tasks.run_log import HOST_TAG, PID_TAG, START_TAG, close_run
from tasks.spec import RegistrySpec

BEGUN: dict[Event, Event] = {
    "promotion begun": "promoted",
    "rollback begun": "rolled back",
    "restore begun": "restored",
}
"""Entry that opens an operation → the one that ends it."""
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
        tasks.registry.RegistryProblem: the registry can't be reached.
    """
    done = mend(home, name, spec)
    if deploy is not None:
        done += resume_deployment(home, name, spec, deploy)
    return done


def mend(home: Home, name: str, spec: RegistrySpec) -> tuple[str, ...]:
    """As `reconcile`, without Prefect and without deploying."""
    releases = open_releases(home, name, spec)
    with releases.locked():
        done = _settle(releases)
        done += _verified(releases)
        if releases.align():
            done.append(f"the aliases name version {releases.serving() or 'none'} again, as the pointer does")
            releases.journal.append(Entry(event="reconciled", version=releases.serving(), detail=done[-1]))
        if releases.folder.path.is_dir():
            # Under its lock nobody stages, so what is still there was left behind.
            releases.folder.prune(MOST_VERSIONS, releases.public_key)
            done += _remove(releases.folder.path.glob(f"{INCOMING}*"), INCOMING)
    done += _remove(home.cache.glob(f"{REGISTERING}*"), REGISTERING)
    done += _close_runs(releases.registry, spec.experiment or name)
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
    if waiting is None or waiting != releases.serving():
        return ()
    outcome = deploy_version(home, name, spec, deploy, waiting)
    said = "was deployed" if outcome.deployed else f"was not deployed: {outcome.reason}"
    return (f"version {waiting}, promoted before a crash, {said}",)


def _settle(releases: Releases) -> list[str]:
    """Finish or undo what the journal says was begun: by whether the pointer had moved."""
    entries = releases.journal.entries()
    ended = {entry.operation for entry in entries if entry.event not in BEGUN}
    done = []
    for entry in entries:
        if entry.event not in BEGUN or entry.operation in ended:
            continue
        pointer = releases.pointer()
        moved = pointer is not None and pointer.version == entry.version
        if entry.event == "restore begun":
            # Begun because the version must not serve: if the pointer still names it, it goes now.
            if releases.serving() == entry.version and entry.version is not None:
                restore_locked(releases, entry.version, entry.detail)
            releases.align()
            event: Event = "restored" if releases.serving() is not None else "withdrawn"
            said = f"the restoration from version {entry.version} was finished"
        elif moved:
            releases.align()
            event, said = BEGUN[entry.event], f"version {entry.version}: finished what was begun"
        else:
            if entry.event == "promotion begun" and entry.version is not None:
                releases.drop(entry.version)
            event, said = "undone", f"version {entry.version}: nothing had moved yet"
        releases.journal.append(
            Entry(
                event=event,
                version=releases.serving() if event == "restored" else entry.version,
                former=entry.former,
                operation=entry.operation,
                detail=f"after a crash: {said}",
            )
        )
        done.append(said)
    return done


def _verified(releases: Releases) -> list[str]:
    """The pointer names a bundle that verifies: as it is, fetched again, or an earlier one."""
    pointer = releases.pointer()
    if pointer is None or releases.serving() is None:
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


def _remove(debris: Iterable[Path], prefix: str) -> list[str]:
    """Remove temporary folders, named by the id of their process, of processes that are gone."""
    done = []
    for folder in debris:
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if not pid.isdigit() or start_ticks(int(pid)) is None:
            shutil.rmtree(folder)
            done.append(f"removed {folder.name}")
    return done


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
            if str(start_ticks(int(tags[PID_TAG]))) == tags.get(START_TAG):
                continue
            close_run(registry, found.experiment_id, run.info.run_id, "KILLED")
            done.append(f"closed run {run.info.run_name}, which its process left open")
    return done
