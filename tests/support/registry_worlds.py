"""What people and disks do to a registry and to a state folder, and what every command has to come to then.

A world is a project with two sound versions that were shipped, the second of which serves, and one thing
that was then done to it. Real MLflow on SQLite, a real endpoint; what is tried raises where it does not come
to what is right.
"""

from __future__ import annotations

import gc
import shutil
import traceback
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from release.home import Home
from release.moves.adopt import adopt_local, remark_of
from release.moves.promote_by_hand import promote_by_hand
from release.moves.rollback import roll_back
from release.registry.client import BUNDLE_TAG, open_registry
from release.registry.register import register_version
from release.registry.store import STORE_FILE
from release.releases import OtherRegistry, open_releases
from release.saved_settings import Settings, save_settings, state_file
from release.spec import RegistrySpec
from release.status import read_status
from release.targets.endpoint import start
from serving.process import control as process
from serving.store.manifest import verify_release
from tests.support.toy_bundle import NAME
from tests.support.toy_release import DEPLOY, World, check, make_world, ship, start_again

Done = Callable[[World], None]


def shipped(root: Path, store: Path) -> World:
    """A world with two versions, the second of which serves."""
    world = make_world(root, store)
    for _ in range(2):
        ship(world, world.candidate())
    return world


def serving_bundle(world: World) -> str:
    """Digest of the bundle that the pointer names, verified."""
    releases = open_releases(world.home, NAME, world.spec)
    version = releases.serving()
    assert version is not None, "nothing serves"
    return verify_release(releases.folder.version_dir(version), releases.public_key, NAME).bundle_sha256


def _delete_versions(*versions: int) -> Done:
    def delete(world: World) -> None:
        registry = open_registry(world.home, NAME, world.spec)
        for version in versions:
            registry.client.delete_model_version(NAME, str(version))

    return delete


def _edit_digest(world: World) -> None:
    """Somebody edits the champion's tag in MLflow's page."""
    registry = open_registry(world.home, NAME, world.spec)
    registry.client.set_model_version_tag(NAME, "2", BUNDLE_TAG, "0" * 64)


def _delete_model(world: World) -> None:
    open_registry(world.home, NAME, world.spec).client.delete_registered_model(NAME)


def _delete_experiment(world: World) -> None:
    client = open_registry(world.home, NAME, world.spec).client
    client.delete_experiment(client.get_experiment_by_name(NAME).experiment_id)


def _delete_both(world: World) -> None:
    _delete_model(world)
    _delete_experiment(world)


def _move_store(world: World) -> None:
    """The registry's file lies elsewhere, and the configuration says so."""
    moved = world.root / "moved.sqlite"
    shutil.move(world.home.mlflow / STORE_FILE, moved)
    _forget_connections()
    world.spec = RegistrySpec(tracking_uri=f"sqlite:///{moved}")
    save_settings(world.home, NAME, Settings(registry=world.spec, deploy=DEPLOY))


def _lose_store(world: World) -> None:
    (world.home.mlflow / STORE_FILE).unlink()
    _forget_connections()


def _forget_connections() -> None:
    """Close what this process has open: SQLAlchemy keeps connections to files that are not there any more. A
    command in a process of its own has none."""
    for found in gc.get_objects():
        if issubclass(type(found), Engine):  # not isinstance: some objects warn when they are asked
            found.dispose()


def _other_store(world: World) -> None:
    """The configuration names a registry in which somebody else registered versions under the same name and
    numbers, one of which is the champion there."""
    other = World(
        world.root / "other", spec=RegistrySpec(tracking_uri=f"sqlite:///{world.root}/other.sqlite")
    )
    other.root.mkdir()
    for _ in range(5):  # other answers than those of this world's
        made = other.candidate()
    ship(other, made)
    other.stop()
    world.spec = other.spec
    save_settings(world.home, NAME, Settings(registry=world.spec, deploy=DEPLOY))


LOSSES: Mapping[str, Done] = {
    "previous version deleted": _delete_versions(1),
    "champion's version deleted": _delete_versions(2),
    "all versions deleted": _delete_versions(1, 2),
    "champion's digest tag edited": _edit_digest,
    "registered model deleted": _delete_model,
    "experiment deleted": _delete_experiment,
    "model and experiment deleted": _delete_both,
    "registry's file moved": _move_store,
}
"""What is done → how. Every command goes on as if nothing had happened."""

STRANGERS: Mapping[str, Done] = {"registry lost": _lose_store, "another registry": _other_store}
"""What is done → how. A run ends before it trains, and says what to do."""


def retrain(world: World) -> None:
    """What a retraining does with the registry, from its first task to its last."""
    start_again(world)
    before = serving_bundle(world)
    assert before in world.answers
    made = world.candidate()
    assert ship(world, made).deployed
    assert serving_bundle(world) == made.bundle_sha256
    check(world)


def rollback(world: World) -> None:
    """The bundle that served before serves again, and the registry says so."""
    left = serving_bundle(world)
    done = roll_back(world.home, NAME)
    assert done.deployed, done.reason
    assert serving_bundle(world) in set(world.answers) - {left}
    start_again(world)


def promote(world: World) -> None:
    """A version that is registered now is promoted by hand."""
    made = world.candidate()
    version = register_version(world.home, NAME, world.spec, made).version
    done = promote_by_hand(world.home, NAME, version).outcome
    assert done.deployed and done.serving == version, done.reason
    assert serving_bundle(world) == made.bundle_sha256
    start_again(world)


def status(world: World) -> None:
    """It says what serves."""
    (project,) = read_status(world.home.root, NAME)["projects"]
    assert project["champion"].startswith("version 2") and "signature good" in project["champion"]
    assert project["previous"].startswith("version 1") and "signature good" in project["previous"]
    assert project["endpoint"]["says"].startswith("serves version 2"), project["endpoint"]["says"]


ACTIONS: Mapping[str, Done] = {"retrain": retrain, "rollback": rollback, "promote": promote, "status": status}
"""Command → what it has to come to after a loss."""


def _refused(world: World, work: Done) -> None:
    before = serving_bundle(world)
    there = _story(world)
    try:
        work(world)
    except OtherRegistry as error:
        assert "headgate adopt CONFIG --local" in str(error)
    else:
        raise AssertionError("nothing was said of the other registry")
    assert serving_bundle(world) == before
    assert _story(world) == there, "the other registry was changed"


def _story(world: World) -> object:
    return open_registry(world.home, NAME, world.spec).pointed()


def stranger_retrain(world: World) -> None:
    """It ends before anything is trained; once what serves is carried into the registry, it goes on."""
    _refused(world, start_again)
    before = serving_bundle(world)
    adopted = adopt_local(world.home, NAME, world.spec, DEPLOY)
    assert adopted.version is not None and adopted.version > 2
    assert serving_bundle(world) == before
    retrain(world)


def stranger_rollback(world: World) -> None:
    """It goes back, touches no alias of the other registry, and says so."""
    left, there = serving_bundle(world), _story(world)
    done = roll_back(world.home, NAME)
    assert done.deployed, done.reason
    assert serving_bundle(world) in set(world.answers) - {left}
    assert _story(world) == there
    assert "aliases were not moved" in remark_of(world.home, NAME)


def stranger_promote(world: World) -> None:
    """Nothing of another registry is promoted."""
    made = world.candidate()
    version = register_version(world.home, NAME, world.spec, made).version
    assert version > 2, "a number that was released already"
    _refused(world, lambda one: promote_by_hand(one.home, NAME, version) and None)


STRANGER_ACTIONS: Mapping[str, Done] = {
    "retrain": stranger_retrain,
    "rollback": stranger_rollback,
    "promote": stranger_promote,
    "status": status,
}
"""Command → what it has to come to where the registry is another one."""


def tree(home: Home) -> dict[str, tuple[int, str]]:
    """File below a state folder → time of its last change and digest. Logs are left out: the endpoint writes
    them."""
    return {
        str(path.relative_to(home.root)): (path.stat().st_mtime_ns, sha256(path.read_bytes()).hexdigest())
        for path in sorted(home.root.rglob("*"))
        if path.is_file() and "logs" not in path.relative_to(home.root).parts
    }


def copied(world: World, to: Path) -> World:
    """The world with a copy of its state folder, made as `cp -a` makes it."""
    to.mkdir(parents=True)
    shutil.copytree(world.home.root, to / "home", symlinks=True)
    return World(to, answers=world.answers, spec=world.spec, _seed=world._seed)


def in_a_copy(world: World, work: Done) -> None:
    """Whatever is done in a copy of the state folder, the original stays as it is and goes on serving."""
    before = tree(world.home)
    copy = copied(world, world.root / "copy")
    try:
        assert not process.stop(state_file(copy.home, NAME)), "stopped the endpoint of the original"
        if work is status:
            (project,) = read_status(copy.home.root, NAME)["projects"]
            assert project["champion"].startswith("version 2") and not project["endpoint"]["running"]
        else:
            work(copy)
    finally:
        copy.stop()
    after = tree(world.home)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert not changed, f"{len(changed)} files of the original were changed: {changed[:5]}"
    assert check(world) == 2


def after_a_move(world: World, work: Done) -> None:
    """A state folder that is moved takes its endpoint along, and every command goes on."""
    place = world.root / "elsewhere"
    place.mkdir()
    shutil.move(world.home.root, place / "home")
    _forget_connections()
    moved = World(place, answers=world.answers, spec=world.spec, _seed=world._seed)
    try:
        work(moved)
        assert not world.home.root.exists(), "something was written to where it was before"
    finally:
        moved.stop()


def from_a_backup(world: World, work: Done) -> None:
    """What a backup holds is right once it is put back."""
    backup = copied(world, world.root / "backup")
    ship(world, world.candidate())
    world.stop()
    shutil.rmtree(world.home.root)
    _forget_connections()
    shutil.copytree(backup.home.root, world.home.root, symlinks=True)
    start(world.home.root, NAME)
    work(world)


PLACES: Mapping[str, Callable[[World, Done], None]] = {
    "state folder copied": in_a_copy,
    "state folder moved": after_a_move,
    "state folder restored": from_a_backup,
}
"""What is done to the state folder → what has to come of a command then."""


def tried(what: str, action: str, root: Path, store: Path) -> None:
    """Make the world, do to it what is named, and try the command.

    Raises:
        Exception: it did not come to what is right.
    """
    world = shipped(root, store)
    try:
        if what in PLACES:
            PLACES[what](world, ACTIONS[action])
        elif what in STRANGERS:
            STRANGERS[what](world)
            STRANGER_ACTIONS[action](world)
        else:
            LOSSES[what](world)
            ACTIONS[action](world)
    finally:
        world.stop()


def problem_of(what: str, action: str, root: Path, store: Path) -> str:
    """As `tried`: what did not come to what is right, and where; empty where all did."""
    try:
        tried(what, action, root, store)
    except AssertionError:
        return traceback.format_exc()
    return ""


WORLDS = (*LOSSES, *STRANGERS, *PLACES)
"""Everything that is done to a world."""
