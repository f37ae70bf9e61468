"""What is cleaned is gone, what is kept serves, and a clean that was killed goes on."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.faults import STEPS
from model.files import locked
from release.home import Home
from release.journal import Journal
from release.keep.clean import CleanBusy, clean, last_rules
from release.keep.spec import KeepSpec
from release.leftovers import BEING_WRITTEN
from release.moves.promote_by_hand import promote_by_hand
from release.moves.rollback import roll_back
from release.registry.client import RegistryProblem, open_registry
from release.registry.files.stored import stored_models
from release.registry.judgement import read_judgement
from release.registry.register import register_version
from release.releases import open_releases
from release.spec import RegistrySpec
from tests.release.test_crashes import SPEC, Make, assert_right, ship

FEW = KeepSpec(versions=2, candidates=1, runs=1)


def stored(home: Home) -> list[int]:
    return [
        one.version
        for one in stored_models(open_registry(home, "toy", SPEC))
        if one.folder is not None and one.folder.is_dir()
    ]


def test_models_go_by_what_may_serve_and_records_stay(home: Home, candidate: Make) -> None:
    for seed in range(1, 5):
        ship(home, candidate(seed))
    for seed in (5, 6):
        register_version(home, "toy", SPEC, candidate(seed, "fail"))
    before = clean(home, "toy", SPEC, FEW, dry_run=True)
    assert stored(home) == [1, 2, 3, 4, 5, 6], "a dry run removes nothing"
    done = clean(home, "toy", SPEC, FEW)
    assert [(one.kind, one.path, one.size) for one in done.going] == [
        (one.kind, one.path, one.size) for one in before.going
    ]
    assert done.size > 0 and not done.said
    assert stored(home) == [3, 4, 6]
    releases = open_releases(home, "toy", SPEC)
    assert releases.folder.versions() == [3, 4]
    for version in range(1, 7):
        assert read_judgement(releases.registry, releases.public_key, version).version == version
    with pytest.raises(RegistryProblem, match=r"version 5 of 'toy' were removed.*keep\.candidates"):
        promote_by_hand(home, "toy", 5, reason="why", expires="1d")
    assert roll_back(home, "toy").serving == 3
    assert assert_right(home) == 3
    assert clean(home, "toy", SPEC, FEW).going == [], "twice changes nothing"


def test_after_a_rollback_the_way_back_stays_and_not_what_is_newest(home: Home, candidate: Make) -> None:
    """Versions 3 to 5 were left by going back to 2; 1 and 2 are what a rollback from 6 needs."""
    for seed in range(1, 6):
        ship(home, candidate(seed))
    roll_back(home, "toy", 2)
    ship(home, candidate(6))
    clean(home, "toy", SPEC, KeepSpec(versions=3, candidates=1))
    assert {1, 2, 6} <= set(open_releases(home, "toy", SPEC).folder.versions())
    assert roll_back(home, "toy").serving == 2
    assert roll_back(home, "toy").serving == 1


@pytest.mark.parametrize("point", STEPS["clean"])
def test_a_clean_that_was_killed_goes_on(
    point: str, home: Home, candidate: Make, child: Callable[..., int]
) -> None:
    good, bad = [candidate(seed) for seed in (1, 2, 3)], [candidate(seed, "fail") for seed in (4, 5)]

    def prepared() -> None:
        for made in good:
            ship(home, made)
        for made in bad:
            register_version(home, "toy", SPEC, made)

    assert child(prepared) == 0
    for number in (1, 2, 3):
        left = home.runs / f"202001{number:02d}T0-00000000" / "left"
        left.parent.mkdir()
        left.write_text("by a run of long ago")
        os.utime(left, (0, 0))
        os.utime(left.parent, (0, 0))
    assert child(lambda: clean(home, "toy", SPEC, FEW), fault=f"{point}:kill") == -9
    clean(home, "toy", SPEC, FEW)
    assert stored(home) == [2, 3, 5]
    assert [path.name for path in home.runs.iterdir()] == ["20200103T0-00000000"]
    ours = [path for path in home.root.rglob(".*") if "mlflow" not in path.parts]
    assert not [path for path in ours if BEING_WRITTEN.fullmatch(path.name)]
    assert assert_right(home) == 3


def test_what_a_removal_left_half_done_goes_with_the_next(home: Home) -> None:
    half = home.root / f".model.{2**22 + 1}.{'0' * 8}_1234"
    half.mkdir()
    os.utime(half, (0, 0))
    clean(home, "toy", SPEC, FEW)
    assert not half.exists()


def test_nothing_goes_where_it_is_not_known_what_serves(home: Home, candidate: Make) -> None:
    for seed in (1, 2, 3):
        ship(home, candidate(seed))
    folder = open_releases(home, "toy", SPEC).folder
    for path in (folder.pointer_path, *folder.history_path.iterdir()):
        path.write_bytes(b"{}")
    done = clean(home, "toy", SPEC, FEW)
    assert "not known what must stay" in done.said[0] and done.going == []
    assert folder.versions() == [1, 2, 3] and stored(home) == [1, 2, 3]


def test_a_project_without_releases_gets_no_key(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert clean(home, "toy", SPEC, FEW).going == []
    assert not list(home.keys.iterdir())
    assert not Journal(home.journal / "toy.jsonl").path.exists()


def test_two_do_not_clean_at_once(home: Home) -> None:
    with locked(home.locks / "toy.clean.lock"), pytest.raises(CleanBusy, match="another process"):
        clean(home, "toy", SPEC, FEW)


def test_the_rules_of_the_last_run_hold_for_a_name(home: Home) -> None:
    assert last_rules(home, "toy") == KeepSpec()
    clean(home, "toy", SPEC, FEW)
    assert last_rules(home, "toy") == FEW


def test_old_runs_without_a_version_go_and_those_of_versions_stay(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    registry = open_registry(home, "toy", SPEC)
    client = registry.client
    experiment = client.get_experiment_by_name("toy").experiment_id
    sweep, new = (client.create_run(experiment, run_name=name).info for name in ("sweep", "new"))
    client.log_text(sweep.run_id, "a page", "page.html")
    client.set_terminated(sweep.run_id, end_time=1_000)
    client.set_terminated(new.run_id)
    done = clean(home, "toy", SPEC, FEW)
    assert [one.kind for one in done.going] == ["runs without a version"] and done.size > 0
    left = {run.info.run_name for run in client.search_runs([experiment])}
    assert left == {"new", "run-1"} and not Path(sweep.artifact_uri).exists()
    assert assert_right(home) == 1


def test_with_the_registry_away_the_folders_are_cleaned_and_the_rest_later(
    home: Home, candidate: Make
) -> None:
    for seed in (1, 2, 3):
        ship(home, candidate(seed))
    for number in (1, 2):
        run = home.runs / f"2020010{number}T0-00000000"
        run.mkdir()
        os.utime(run, (0, 0))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = RegistrySpec(tracking_uri=f"http://127.0.0.1:{closed.getsockname()[1]}")
        done = clean(home, "toy", away, FEW)
    assert len(done.said) == 1 and "nothing was removed from the registry: registry http" in done.said[0]
    assert [path.name for path in home.runs.iterdir()] == ["20200102T0-00000000"]
    assert open_releases(home, "toy", SPEC).folder.versions() == [2, 3]
    assert stored(home) == [1, 2, 3]
    done = clean(home, "toy", SPEC, FEW)
    assert not done.said and stored(home) == [2, 3], "what was not known then is cleaned now"


def test_before_the_first_champion_candidates_go_too(home: Home, candidate: Make) -> None:
    for seed in (1, 2, 3):
        register_version(home, "toy", SPEC, candidate(seed, "fail"))
    clean(home, "toy", SPEC, FEW)
    assert stored(home) == [3]


def test_what_goes_by_age_goes_although_nothing_was_registered_since(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    client = open_registry(home, "toy", SPEC).client
    sweep = client.create_run(client.get_experiment_by_name("toy").experiment_id, run_name="sweep").info
    client.set_terminated(sweep.run_id)
    assert clean(home, "toy", SPEC, FEW).going == []
    later = time.time() + (FEW.registry_run_days + 1) * 86_400
    assert "runs without a version" in [one.kind for one in clean(home, "toy", SPEC, FEW, now=later).going]


@pytest.mark.parametrize("name", ["toy", "another"])
def test_the_dataset_of_a_champion_stays_whoever_cleans(home: Home, candidate: Make, name: str) -> None:
    ship(home, candidate(1))
    folder = open_releases(home, "toy", SPEC).folder
    (folder.version_dir(1) / "release.sig").write_text("it may not serve now")
    for number, dataset in enumerate(("f" * 16, "a" * 16, "b" * 16)):
        (home.data / dataset).mkdir()
        os.utime(home.data / dataset, (number, number))
    clean(home, name, SPEC, KeepSpec(datasets=1))
    assert sorted(path.name for path in home.data.iterdir()) == ["b" * 16, "f" * 16]
