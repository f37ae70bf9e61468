"""At the start of everything: bring what a crash left half done to a state that is right.

Afterwards the champion's alias, the pointer and a verified bundle agree (or there is no champion), no
run of a dead process is still RUNNING, and what was half written is gone. The release folder says what
serves: what the registry has lost of it is registered again or left out. Does not retrain anything.
"""

from __future__ import annotations

from model.faults import fault
from release.home import Home
from release.journal import Entry
from release.leftovers import remove_leftovers
from release.moves.carry import carry_lost
from release.moves.fetch import ensure_present, ensure_seen
from release.moves.restore import restore_locked
from release.moves.unfinished import finish_moves
from release.registry.bond import is_bound
from release.registry.client import RegistryProblem
from release.registry.run import close_abandoned_runs
from release.releases import Releases, open_releases
from release.saved_settings import state_file
from release.served import withdrawn_versions
from release.spec import RegistrySpec
from release.targets.deploy import deploy_version
from serving.process import control as process
from serving.spec import ENDPOINT, DeploySpec
from serving.store.manifest import ReleaseRefused

MOST_VERSIONS = 10**9


def reconcile(home: Home, name: str, spec: RegistrySpec) -> tuple[str, ...]:
    """Put right what a crash left behind, without deploying; what was done, one sentence each.

    Raises:
        release.releases.OtherRegistry: the registry belongs to another release folder.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    releases = open_releases(home, name, spec)
    done = [releases.registry.remark] if releases.registry.remark else []
    with releases.locked():
        releases.refuse_other_registry()
        done += releases.mend_digests()
        done += finish_moves(releases)
        fault("moves_finished")
        done += _verified(releases)
        fault("champion_checked")
        carried, said = carry_lost(releases)
        done += said
        if said := releases.align():
            done += said
            releases.journal.append(Entry(event="reconciled", version=carried, detail="; ".join(said)))
        fault("aliases_checked")
        if not is_bound(releases.folder):
            releases.bind()
        if releases.folder.path.is_dir():
            # Under its lock nobody stages, so what is still there was left behind.
            releases.folder.prune(MOST_VERSIONS, releases.public_key)
        done += _stop_withdrawn(releases)
    done += remove_leftovers(home)
    fault("leftovers_removed")
    done += close_abandoned_runs(releases.registry, releases.experiment)
    fault("runs_closed")
    return tuple(done)


def resume_deployment(home: Home, name: str, spec: RegistrySpec, deploy: DeploySpec) -> tuple[str, ...]:
    """Deploy the champion if it was promoted and its deployment was never confirmed: the process died before,
    or the endpoint could not be asked."""
    releases = open_releases(home, name, spec)
    waiting: int | None = None
    why = "promoted before a crash"
    for entry in releases.journal.entries():
        if entry.event == "promoted":
            waiting, why = entry.version, "promoted before a crash"
        elif entry.event == "unconfirmed":
            why = "whose deployment was not confirmed"
        elif entry.event in ("deployed", "not deployed", "rolled back", "restored", "withdrawn"):
            waiting = None
    if deploy.target != ENDPOINT and waiting is None:
        # A target does not follow the pointer by itself: where that went back, the target goes back now.
        waiting = releases.serving() if _target_strays(releases) else None
    if waiting is None or waiting != releases.serving():
        return ()
    outcome = deploy_version(home, name, spec, deploy, waiting)
    result = "was deployed" if outcome.deployed else f"was not deployed: {outcome.reason}"
    return (f"version {waiting}, {why}, {result}",)


def _target_strays(releases: Releases) -> bool:
    """Whether a plugin's target may hold another version than the pointer names."""
    handed = [
        entry
        for entry in releases.journal.entries()
        if entry.event in ("deployed", "not deployed", "unconfirmed")
    ]
    return bool(handed) and (handed[-1].event != "deployed" or handed[-1].version != releases.serving())


def _verified(releases: Releases) -> list[str]:
    """The pointer names a bundle that verifies: as it is, fetched again, or an earlier one."""
    pointer = releases.pointer()
    if pointer is None or _withdrawn(releases, pointer.version):
        return []
    done = []
    try:
        damage = ensure_present(releases.registry, releases.folder, releases.public_key, pointer.version)
    except (ReleaseRefused, RegistryProblem) as error:
        reason = f"version {pointer.version} on disk does not verify: {error}"
        back = restore_locked(releases, pointer.version, reason)
        done.append(f"{reason}; version {back or 'none'} serves instead")
    else:
        if damage:
            said = f"version {pointer.version} on disk did not verify ({damage}): fetched from the registry"
            releases.journal.append(Entry(event="reconciled", version=pointer.version, detail=said))
            done.append(said)
        # Also writes `current` again where it was damaged or put back.
        releases.folder.roll_back(releases.private_key, pointer.version)
        if ensure_seen(releases.registry, releases.folder, releases.public_key, pointer.version):
            done.append(f"the list of texts that version {pointer.version} was trained on was fetched again")
    return done


def _withdrawn(releases: Releases, version: int) -> bool:
    return version in withdrawn_versions(releases.journal.entries())


def _stop_withdrawn(releases: Releases) -> list[str]:
    """Where nothing may serve any more, what an endpoint still holds in its memory may not either."""
    file = state_file(releases.home, releases.name)
    pointer = releases.pointer()
    if pointer is None or not _withdrawn(releases, pointer.version) or process.status(file) is None:
        return []
    process.stop(file)
    return ["the endpoint was stopped: the version that it held was withdrawn"]
