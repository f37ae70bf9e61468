"""Ways into traffic through the registry, the journal and the endpoint's own routes.

Any MLflow client may set aliases and tags and write artifacts; whoever reaches the port may ask the
endpoint; whoever reaches the home may write its journal. The follower, which a replica runs, and `reconcile`,
which every start of the flow runs, are asked to act on what the attacker left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from expectations.verdict import NotApproved
from release.home import Home
from release.journal import Entry, Journal
from release.moves.rollback import RollbackRefused, roll_back
from release.registry.client import BUNDLE_TAG, VERDICT_TAG
from release.registry.register import BundleChanged
from release.saved_settings import state_file
from release.targets.follower import sync_once
from serving.client import request
from serving.process import control as process
from serving.store import signing
from serving.store.manifest import ReleaseRefused, write_release
from serving.store.pointer import Pointer, write_pointer
from serving.store.release_folder import PromotionRefused
from tests.support.bypass_world import DEPLOY, EVIL, SECOND, World
from tests.support.toy_bundle import NAME


def _follow(world: World) -> None:
    """What a replica's follower does on its next look, and what it says."""
    seen = sync_once(world.registry, world.folder, world.public_key)
    if seen.state == "refused":
        world.refusals.append(f"follower: {seen.reason}")
        # The follower's own log is its output and its state file; what it writes there is this.
        Journal(world.home.journal / f"{NAME}.jsonl").append(
            Entry(event="refused", version=seen.version, detail=f"follower: {seen.reason}")
        )


def alias_by_api(world: World) -> None:
    """A failed candidate gets the alias."""
    registered = world.register(world.candidate(EVIL, "fail"))
    world.registry.set_alias("champion", registered.version)
    _follow(world)


def alias_and_tags_by_api(world: World) -> None:
    """The same with the verdict's tag edited to a pass."""
    registered = world.register(world.candidate(EVIL, "fail"))
    client = world.registry.client
    client.set_model_version_tag(NAME, str(registered.version), VERDICT_TAG, "pass")
    world.registry.set_alias("champion", registered.version)
    _follow(world)
    world.reconcile()


def version_by_api(world: World) -> None:
    """A version made with MLflow alone: no run of the flow, no gate, all tags as they should be."""
    client = world.registry.client
    bundle, digest = world.bundle(EVIL)
    tags = {VERDICT_TAG: "pass", BUNDLE_TAG: digest}
    made = client.create_model_version(NAME, str(bundle), tags=tags)
    world.registry.set_alias("champion", int(made.version))
    _follow(world)
    world.reconcile()


def forged_pointer_by_api(world: World) -> None:
    """The signed pointer's tag, signed with another key."""
    registered = world.register(world.candidate(EVIL, "fail"))
    private, _ = signing.ensure_key_pair(world.place / "forger")
    file = world.place / "pointer"
    write_pointer(file, Pointer(name=NAME, version=registered.version, sequence=9, approval=9), private)
    world.registry.set_pointer(file.read_text())
    world.registry.set_alias("champion", registered.version)
    _follow(world)
    world.reconcile()


def forged_release_by_api(world: World) -> None:
    """A forged release manifest is logged to the run, and the alias moved."""
    registered = world.register(world.candidate(EVIL, "fail"))
    private, _ = signing.ensure_key_pair(world.place / "forger")
    folder = world.place / "forged"
    shutil.copytree(world.bundle(EVIL)[0], folder / "bundle")
    write_release(folder, world.manifest(registered.version, EVIL), private)
    world.registry.log_release(registered.version, [folder / "release.json", folder / "release.sig"])
    world.registry.set_alias("champion", registered.version)
    _follow(world)
    with world.refused(RollbackRefused):
        roll_back(world.home, NAME, registered.version)


def artifact_exchanged(world: World) -> None:
    """The champion's artifact in the store is exchanged and its copy on disk removed: fetched again, it
    must not serve. (The endpoint goes on with what it has in memory.)"""
    made = world.candidate(SECOND)
    registered = world.register(made)
    source = world.registry.client.get_model_version_download_uri(NAME, str(registered.version))
    for card in Path(source.removeprefix("file://")).rglob("card.json"):
        for file in world.bundle(EVIL)[0].iterdir():
            shutil.copy(file, card.parent / file.name)
    with world.held():
        world.promote(registered, made)
        shutil.rmtree(world.folder.version_dir(2))
    world.reconcile()


def promoted_without_a_pass(world: World) -> None:
    """Our own code asked to approve a failed verdict."""
    made = world.candidate(EVIL, "fail")
    registered = world.register(made)
    with world.refused(NotApproved):
        world.promote(registered, made)


def inconclusive_promoted(world: World) -> None:
    """Our own code asked to approve what could not be decided."""
    made = world.candidate(EVIL, "inconclusive")
    registered = world.register(made)
    with world.refused(NotApproved):
        world.promote(registered, made)


def borrowed_verdict(world: World) -> None:
    """A failed version with the passing verdict of another one."""
    made = world.candidate(EVIL, "fail")
    registered = world.register(made)
    with world.refused(PromotionRefused):
        world.promote(registered, made, world.candidate(SECOND).verdict)


def borrowed_version(world: World) -> None:
    """An approved version's number with another bundle."""
    good = world.candidate(SECOND)
    registered = world.register(good)
    evil = world.candidate(EVIL)
    with world.refused(PromotionRefused, ReleaseRefused):
        world.promote(registered, evil, good.verdict)


def changed_before_promotion(world: World) -> None:
    """Thresholds edited between gate and promotion, the bundle's manifest left alone."""
    made = world.candidate(EVIL)
    registered = world.register(made)
    card = json.loads((made.bundle / "card.json").read_text())
    card["heads"]["topics"]["thresholds"] = [0.01, 0.99]
    (made.bundle / "card.json").write_text(json.dumps(card))
    with world.refused(ReleaseRefused):
        world.promote(registered, made)


def changed_before_registration(world: World) -> None:
    """Changed between gate and registration, and sealed again."""
    made = world.candidate(EVIL)
    card = json.loads((made.bundle / "card.json").read_text())
    card["heads"]["topics"]["thresholds"] = [0.01, 0.99]
    (made.bundle / "card.json").write_text(json.dumps(card))
    world.seal(made.bundle)
    with world.refused(BundleChanged):
        world.register(made)


def older_over_newer(world: World) -> None:
    """An approval that was overtaken. Version 2 is newer and approved; 1 must not come back by promotion,
    and here the older one is version 2 beside a promoted version 3."""
    old, new = world.candidate(EVIL), world.candidate(SECOND)
    first, second = world.register(old), world.register(new)
    world.promote(second, new)
    with world.refused(PromotionRefused):
        world.promote(first, old)


def rollback_to_a_failed_version(world: World) -> None:
    """`headgate rollback --to` a version that never passed."""
    registered = world.register(world.candidate(EVIL, "fail"))
    with world.refused(RollbackRefused):
        roll_back(world.home, NAME, registered.version)


def previous_alias_and_rollback(world: World) -> None:
    """The alias `previous` names a failed version, then somebody rolls back."""
    registered = world.register(world.candidate(EVIL, "fail"))
    world.registry.set_alias("previous", registered.version)
    with world.refused(RollbackRefused):
        roll_back(world.home, NAME)


def forged_journal(world: World) -> None:
    """The journal says that a failed version was promoted and is being restored to."""
    registered = world.register(world.candidate(EVIL, "fail"))
    journal = Journal(world.home.journal / f"{NAME}.jsonl")
    for event in ("promotion begun", "promoted", "rollback begun"):
        journal.append(Entry(event=event, version=registered.version, operation="forged"))
    folder = world.folder.version_dir(registered.version)
    folder.mkdir(parents=True)
    shutil.copytree(world.bundle(EVIL)[0], folder / "bundle")
    world.reconcile()


def asked_over_http(world: World) -> None:
    """Routes that a client might hope for."""
    bundle, _ = world.bundle(EVIL)
    body = {"version": 66, "path": str(bundle), "champion": 66}
    for method, route in (
        ("POST", "/promote"),
        ("PUT", "/version"),
        ("POST", "/version"),
        ("POST", "/reload"),
        ("POST", "/swap"),
        ("DELETE", "/version"),
    ):
        status, _, _ = request(world.url, method, route, body)
        world.refusals.append(f"{method} {route}: {status}")
        assert 400 <= status < 500, f"{method} {route} answered {status}"


def second_endpoint_on_another_folder(world: World) -> None:
    """The endpoint's state file is made to name another release folder's endpoint of the same project, under
    the project's own public key: what is signed otherwise does not serve there either."""
    other = Home(world.place / "other-home")
    private, _ = signing.ensure_key_pair(other.keys)
    folder = other.releases(NAME) / "versions" / "2"
    folder.mkdir(parents=True)
    shutil.copytree(world.bundle(EVIL)[0], folder / "bundle")
    write_release(folder, world.manifest(2, EVIL), private)
    pointer = Pointer(name=NAME, version=2, sequence=2, approval=2)
    write_pointer(other.releases(NAME) / "current", pointer, private)
    quick = replace(DEPLOY, start_timeout_s=8)
    with world.refused(process.EndpointError):
        process.start(
            other.releases(NAME),
            world.public_key,
            quick,
            state_file(other, NAME),
            world.endpoint_log,
        )


WAYS: dict[str, Callable[[World], None]] = {
    "alias moved by API to a failed version": alias_by_api,
    "alias and verdict tag set by API": alias_and_tags_by_api,
    "version made by API with all the right tags": version_by_api,
    "pointer tag forged by API": forged_pointer_by_api,
    "release manifest forged and logged by API": forged_release_by_api,
    "artifact exchanged in the store": artifact_exchanged,
    "approval of a failed verdict": promoted_without_a_pass,
    "approval of an inconclusive verdict": inconclusive_promoted,
    "approval with another version's verdict": borrowed_verdict,
    "approval with another version's number": borrowed_version,
    "thresholds edited between gate and promotion": changed_before_promotion,
    "bundle changed between gate and registration": changed_before_registration,
    "older approval over a newer one": older_over_newer,
    "rollback to a failed version": rollback_to_a_failed_version,
    "alias `previous` moved, then rolled back": previous_alias_and_rollback,
    "journal forged, then restarted": forged_journal,
    "endpoint asked over HTTP": asked_over_http,
    "endpoint started on a folder that another key signed": second_endpoint_on_another_folder,
}
"""What is tried → how."""
