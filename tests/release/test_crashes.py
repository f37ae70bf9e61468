"""Killed at any point, the next start finds or makes a state that is right, and the rerun finishes.

The children are forked and the parent opens the store only after they are gone, so MLflow is imported
once.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from expectations.verdict import ApprovedVersion
from model import faults
from model.faults import STEPS
from release.home import Home
from release.journal import Entry, Journal
from release.keys import public_key
from release.leftovers import BEING_WRITTEN
from release.moves.promote import promote_version
from release.moves.reconcile import reconcile, resume_deployment
from release.moves.restore import restore
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.client import open_registry
from release.registry.register import register_version
from release.registry.store import STORE_FILE, tracking_uri
from release.releases import open_releases
from release.saved_settings import Settings, save_settings, state_file
from release.spec import RegistrySpec
from release.status import read_status
from release.targets.deploy import deploy_version
from serving.process import control as process
from serving.spec import DeploySpec
from serving.store.manifest import verify_release

SPEC = RegistrySpec()
Make = Callable[..., Candidate]
Child = Callable[..., int]

CORE = ("model_saved", "version_registered", "staged", "pointer_written", "champion_moved")
"""Points whose kill is tried in every run of the suite; `tests.campaigns.kill_matrix` tries all of them."""
KILLED = -signal.SIGKILL


def ship(home: Home, made: Candidate) -> int:
    done = register_version(home, "toy", SPEC, made)
    approved = ApprovedVersion(
        name="toy", version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    return promote_version(home, "toy", SPEC, approved, bundle=made.bundle).version


def assert_right(home: Home) -> int | None:
    """The state is right: alias, pointer and a verified bundle agree; nothing is left open."""
    releases = open_releases(home, "toy", SPEC)
    pointed = releases.registry.pointed()
    champion = pointed.aliases.get("champion") if pointed else None
    assert champion == releases.serving()
    if champion is not None:
        verify_release(releases.folder.version_dir(champion), releases.public_key, "toy")
        assert pointed is not None and pointed.pointer == releases.folder.pointer_path.read_text()
    client = releases.registry.client
    experiment = client.get_experiment_by_name("toy")
    if experiment is not None:
        assert not client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    assert not [path.name for path in releases.folder.path.glob("**/.staging-*")]
    ours = (path for path in home.root.rglob(".*") if "mlflow" not in path.parts)
    assert not [path.name for path in ours if BEING_WRITTEN.fullmatch(path.name)]
    assert reconcile(home, "toy", SPEC) == (), "a second start finds nothing to do"
    return champion


@pytest.mark.parametrize("point", CORE)
def test_killed_while_a_second_version_ships(point: str, home: Home, candidate: Make, child: Child) -> None:
    first, second, third = candidate(1), candidate(2), candidate(3)
    assert child(lambda: ship(home, first)) == 0
    assert child(lambda: ship(home, second), fault=f"{point}:kill") == KILLED
    reconcile(home, "toy", SPEC)
    assert assert_right(home) == (2 if point in STEPS["move"] else 1)
    assert ship(home, third) == assert_right(home)


def test_a_first_promotion_killed_before_anything_was_staged_is_undone(
    home: Home, candidate: Make, child: Child
) -> None:
    """Not even the release folder is there yet."""
    made = candidate(1)
    assert child(lambda: ship(home, made), fault="promotion_begun:kill") == KILLED
    assert reconcile(home, "toy", SPEC) == ("version 1: the promotion was undone, it had moved nothing",)
    assert assert_right(home) is None
    assert ship(home, made) == assert_right(home) == 2


@pytest.mark.parametrize(
    ("point", "kind"), [("staged", "term"), ("staged", "raise"), ("pointer_tagged", "raise")]
)
def test_other_ends_converge_too(
    point: str, kind: str, home: Home, candidate: Make, child: Child, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = candidate(1), candidate(2)
    assert child(lambda: ship(home, first)) == 0
    assert child(lambda: ship(home, second), fault=f"{point}:{kind}") == (
        1 if kind == "raise" else -signal.SIGTERM
    )
    reconcile(home, "toy", SPEC)
    assert assert_right(home) == (1 if point == "staged" else 2)


@pytest.mark.parametrize(
    ("point", "versions"), [("pointer_moved", 1), ("pointer_moved", 2), ("version_dropped", 1)]
)
def test_killed_while_a_bad_version_goes_back(
    point: str, versions: int, home: Home, candidate: Make, child: Child
) -> None:
    made = [candidate(seed) for seed in range(1, versions + 1)]
    assert child(lambda: [ship(home, one) for one in made]) == 0
    back = lambda: restore(open_releases(home, "toy", SPEC), versions, "it answered wrongly")  # noqa: E731
    assert child(back, fault=f"{point}:kill") == KILLED
    reconcile(home, "toy", SPEC)
    assert assert_right(home) == (1 if versions == 2 else None)
    assert not (home.releases("toy") / "versions" / "1").exists() or versions == 2


@pytest.mark.parametrize("point", ["rollback_begun", "previous_moved"])
def test_killed_while_rolling_back(point: str, home: Home, candidate: Make, child: Child) -> None:
    made = [candidate(seed) for seed in (1, 2)]
    assert child(lambda: [ship(home, one) for one in made]) == 0
    assert child(lambda: roll_back(home, "toy"), fault=f"{point}:kill") == KILLED
    reconcile(home, "toy", SPEC)
    assert assert_right(home) == (2 if point == "rollback_begun" else 1)


def test_an_error_while_registering_leaves_no_open_run_and_no_version(
    home: Home, candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = candidate(1)
    monkeypatch.setenv("HEADGATE_FAULT", "model_saved:raise")
    with pytest.raises(faults.Fault):
        register_version(home, "toy", SPEC, made)
    monkeypatch.delenv("HEADGATE_FAULT")
    registry = open_registry(home, "toy", SPEC)
    assert registry.pointed() is None
    experiment = registry.client.get_experiment_by_name("toy").experiment_id
    (run,) = registry.client.search_runs([experiment])
    (model,) = registry.client.search_logged_models([experiment])
    assert (run.info.status, str(model.status)) == ("FAILED", "FAILED")


def test_a_damaged_champion_is_fetched_again_or_replaced(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    ship(home, candidate(2))
    releases = open_releases(home, "toy", SPEC)
    graph = releases.folder.version_dir(2) / "bundle" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert "version 2 on disk did not verify" in reconcile(home, "toy", SPEC)[0]
    assert assert_right(home) == 2
    # Now damaged in the registry, too.
    graph.write_bytes(graph.read_bytes()[:-1])
    for copy in home.mlflow.rglob("model.onnx"):
        copy.write_bytes(copy.read_bytes()[:-1])
    said = reconcile(home, "toy", SPEC)
    assert "does not verify" in said[0] and "version 1 serves instead" in said[0]
    assert assert_right(home) == 1


def test_a_champion_whose_folder_was_lost_is_fetched_again(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    shutil.rmtree(open_releases(home, "toy", SPEC).folder.version_dir(1))
    reconcile(home, "toy", SPEC)
    assert assert_right(home) == 1


def test_a_version_that_the_endpoint_refused_before_a_crash_goes_at_the_next_start(
    home: Home, candidate: Make
) -> None:
    ship(home, candidate(1))
    ship(home, candidate(2))
    journal = open_releases(home, "toy", SPEC).journal
    journal.append(Entry(event="not deployed", version=2, detail="it answered wrongly"))
    assert "the endpoint refused version 2" in reconcile(home, "toy", SPEC)[0]
    assert assert_right(home) == 1
    # The first one of all: nothing may serve, and what the endpoint holds in memory may not either.
    deploy = DeploySpec(port=0, threads=1, poll_s=0.02)
    assert deploy_version(home, "toy", SPEC, deploy, 1).deployed
    journal.append(Entry(event="not deployed", version=1, detail="it answered wrongly"))
    said = reconcile(home, "toy", SPEC)
    assert "the endpoint was stopped: the version that it held was withdrawn" in said
    assert assert_right(home) is None
    assert process.status(state_file(home, "toy")) is None


def test_whoever_moves_something_settles_first_what_a_crash_left(
    home: Home, candidate: Make, child: Child
) -> None:
    """Without a retraining in between: a rollback meets a promotion that was cut in two."""
    first, second = candidate(1), candidate(2)
    assert child(lambda: ship(home, first)) == 0
    assert child(lambda: ship(home, second), fault="pointer_written:kill") == KILLED
    assert roll_back(home, "toy").serving == 1
    events = [(e.event, e.version) for e in Journal(home.journal / "toy.jsonl").entries()]
    assert events[-3:] == [("promoted", 2), ("rollback begun", 1), ("rolled back", 1)]
    assert assert_right(home) == 1


def test_the_key_lies_where_the_configuration_says(home: Home, candidate: Make, tmp_path: Path) -> None:
    spec = RegistrySpec(signing_keys=str(tmp_path / "elsewhere"))
    made = candidate(1)
    done = register_version(home, "toy", spec, made)
    approved = ApprovedVersion(
        name="toy", version=done.version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(home, "toy", spec, approved, bundle=made.bundle, configuration={"sha256": "a" * 64})
    private = tmp_path / "elsewhere" / "release.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert not list(home.keys.iterdir())
    manifest = verify_release(
        home.releases("toy") / "versions" / "1", private.with_name("release.pub"), "toy"
    )
    assert manifest.configuration == {"sha256": "a" * 64} and manifest.code_version
    save_settings(home, "toy", Settings(registry=spec))
    assert public_key(home, "toy") == private.with_name("release.pub")
    assert "signature good" in read_status(home.root, "toy")["projects"][0]["champion"]


def test_an_alias_that_was_moved_by_hand_goes_back(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    register_version(home, "toy", SPEC, candidate(2, "fail"))
    open_registry(home, "toy", SPEC).set_alias("champion", 2)
    assert reconcile(home, "toy", SPEC) == ("the aliases name version 1 again, as the pointer does",)
    assert assert_right(home) == 1


def test_a_pointer_that_was_put_back_or_damaged_is_written_again(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    pointer = open_releases(home, "toy", SPEC).folder.pointer_path
    old = pointer.read_bytes()
    ship(home, candidate(2))
    for broken in (old, b"{}", b""):
        pointer.write_bytes(broken)
        reconcile(home, "toy", SPEC)
        assert assert_right(home) == 2


def test_a_deployment_that_was_cut_short_is_made_up_for(
    home: Home, candidate: Make, child: Child, deploy_spec: DeploySpec
) -> None:
    first, spec = candidate(1), deploy_spec
    assert child(lambda: ship(home, first)) == 0
    assert child(lambda: deploy_version(home, "toy", SPEC, spec, 1), fault="endpoint_started:kill") == KILLED
    reconcile(home, "toy", SPEC)
    assert resume_deployment(home, "toy", SPEC, spec) == ("version 1, promoted before a crash, was deployed",)
    assert Journal(home.journal / "toy.jsonl").entries()[-1].event == "deployed"
    assert resume_deployment(home, "toy", SPEC, spec) == ()


def test_a_store_killed_while_made_and_five_first_starts(tmp_path: Path, child: Child) -> None:
    home = Home(tmp_path / "home")
    assert child(lambda: tracking_uri(home), fault="store_written:kill") == KILLED
    assert not (home.mlflow / STORE_FILE).exists()

    def start() -> int:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if open_registry(home, "toy", SPEC).pointed() is None else 2
            finally:
                os._exit(code)
        return pid

    starts = [start() for _ in range(5)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in starts] == [0] * 5
    assert sorted(path.name for path in home.mlflow.iterdir()) == [".lock", STORE_FILE]


def test_every_point_is_passed_somewhere() -> None:
    """A point that no code names would make the kill matrix look complete when it is not."""
    root = Path(faults.__file__).parents[1]
    folders = ("tasks", "release", "serving", "sources", "model")
    sources = "".join(path.read_text() for name in folders for path in (root / name).rglob("*.py"))
    for point in faults.POINTS:
        assert sources.count(f'"{point}"') >= 2, point
    with pytest.raises(ValueError, match="not a fault point"):
        faults.fault("nowhere")
