"""What goes from a state folder and what stays, by real files and real clocks."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from model.cache import Cache
from model.files import process_space, write_json
from release.home import Home
from release.keep.owner import OWNER_FILE, is_live, mark_run
from release.keep.plan import AUDIT_BYTES, DAY_S, Kept, plan
from release.keep.spec import KeepSpec

DEAD = 2**22 + 1
NOW = time.time()
NONE = Kept()
FEW = KeepSpec(runs=2, datasets=1, cache_days=10, report_days=20, log_days=20, flow_run_days=20)


def run_folder(
    home: Home, number: int, *, trained: bool = True, project: str = "toy", dead: bool = True
) -> Path:
    folder = home.runs / f"202601{number:02d}T030000000000-{number:08x}"
    folder.mkdir()
    mark_run(folder, project)
    if dead:
        owner = {"project": project, "pid": DEAD, "start": 1, "where": process_space()}
        write_json(folder / OWNER_FILE, owner)
    (folder / "profile.json").write_text("{}")
    if trained:
        (folder / "shared").mkdir()
        (folder / "shared" / "weights").write_bytes(b"w" * 1000)
        (folder / "evidence").mkdir()
        (folder / "evidence" / "timing.json").write_text("{}")
        raw = {
            "run": {"folder": str(folder), "name": project},
            "dataset": str(home.data / f"{number:08x}00000000"),
        }
        (folder / "evidence" / "kept.json").write_text(json.dumps(raw))
    return folder


def age(path: Path, days: float) -> None:
    for one in (*path.rglob("*"), path):
        os.utime(one, (NOW - days * DAY_S, NOW - days * DAY_S))


def going(home: Home, spec: KeepSpec = FEW, kept: Kept = NONE, name: str = "toy") -> set[str]:
    return {str(one.path.relative_to(home.root)) for one in plan(home, name, spec, kept, NOW)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_of_older_trainings_what_the_verdict_was_decided_by_stays(home: Home) -> None:
    old, *newer = [run_folder(home, number) for number in (1, 2, 3)]
    (old / "evidence" / "shared.npz").write_bytes(b"x" * (AUDIT_BYTES + 1))
    name = f"runs/{old.name}"
    assert going(home) == {f"{name}/shared", f"{name}/evidence/kept.json", f"{name}/evidence/shared.npz"}
    assert all(folder.is_dir() for folder in newer)


def test_validations_do_not_push_trainings_out(home: Home) -> None:
    run_folder(home, 1)
    validations = [run_folder(home, number, trained=False) for number in range(2, 9)]
    assert going(home) == {f"runs/{folder.name}" for folder in validations[:-2]}


def test_what_says_whose_pages_they_are_stays_as_long_as_they_do(home: Home) -> None:
    old, *_ = [run_folder(home, number, trained=False) for number in (1, 2, 3)]
    (home.reports / old.name).mkdir()
    assert going(home) == {f"runs/{old.name}/profile.json"}
    age(home.reports / old.name, 21)
    assert f"reports/{old.name}" in going(home)
    assert f"reports/{old.name}" not in going(home, name="another"), "another project does not decide"
    assert f"reports/{old.name}" not in going(home, kept=Kept(runs=[old.name])), "its version may serve"


def test_the_folder_of_a_living_process_stays_however_old(home: Home) -> None:
    alive = run_folder(home, 1, dead=False)
    for number in (2, 3, 4):
        run_folder(home, number)
    age(alive, 400)
    assert is_live(alive, NOW)
    assert not any(alive.name in path for path in going(home))


def test_a_folder_of_an_older_version_or_a_process_elsewhere_stays_for_a_day(home: Home) -> None:
    folder = run_folder(home, 1, trained=False)
    (folder / OWNER_FILE).unlink()
    run_folder(home, 2, trained=False)
    run_folder(home, 3, trained=False)
    assert is_live(folder, NOW) and going(home) == set()
    age(folder, 2)
    assert going(home) == {f"runs/{folder.name}"}


def test_runs_of_another_project_and_what_they_name_stay(home: Home) -> None:
    for number in range(1, 5):
        run_folder(home, number, project="theirs")
    theirs = home.data / f"{1:08x}00000000"
    theirs.mkdir()
    age(theirs, 50)
    (home.data / "ffff000000000000").mkdir()
    assert going(home) == set()


def test_datasets_that_were_used_last_and_those_of_kept_runs_stay(home: Home) -> None:
    run_folder(home, 5)
    for number in (1, 2, 3, 5):
        made = home.data / f"{number:08x}00000000"
        made.mkdir()
        age(made, 50 - number if number != 5 else 90)
    champions = f"{1:08x}" + "0" * 56
    assert going(home, kept=Kept(fingerprints=[champions])) == {f"data/{2:08x}00000000"}


def test_cached_work_stays_while_it_is_used(home: Home) -> None:
    used, unused, named = (Cache(home.cache).entry("baselines", key) for key in ("used", "unused", "named"))
    for entry in (used, unused, named):
        with entry.making() as folder:
            assert folder is not None
            (folder / "fitted").write_text("weights")
        age(entry.folder, 11)
    with used.making() as folder:
        assert folder is None, "found again"
    run = run_folder(home, 1)
    kept = json.loads((run / "evidence" / "kept.json").read_text())
    (run / "evidence" / "kept.json").write_text(
        json.dumps({**kept, "bundles": {"x": str(named.folder / "fitted")}})
    )
    (home.cache / "datasets" / "hub").mkdir(parents=True)
    age(home.cache / "datasets", 400)
    assert going(home) == {"cache/baselines/unused"}


def test_half_made_work_goes_once_nobody_writes_to_it(home: Home) -> None:
    entry = Cache(home.cache).entry("baselines", "half")
    with pytest.raises(RuntimeError), entry.making(resume=True) as folder:
        assert folder is not None
        (folder / "checkpoint").write_text("half")
        raise RuntimeError("killed")
    assert going(home) == set(), "a resume needs it"
    age(entry.folder, 11)
    assert going(home) == {"cache/baselines/half"}


def test_every_line_names_the_field_that_decides(home: Home) -> None:
    for number in range(1, 5):
        run_folder(home, number, trained=number > 2)
    for root in (home.reports, home.logs, home.prefect / "storage"):
        (root / "old").mkdir(parents=True)
        age(root / "old", 30)
    for one in plan(home, "toy", KeepSpec(runs=1, report_days=1, log_days=1, flow_run_days=1), Kept(), NOW):
        assert "(keep." in one.why


def test_what_great_expectations_keeps_of_old_runs_goes_and_of_other_projects_stays(home: Home) -> None:
    kept = home.root / "gx" / "uncommitted"
    places = [kept / "validations" / "toy", kept / "data_docs" / "local_site" / "validations" / "toy"]
    for folder in (*places, kept / "validations" / "another"):
        for run, days in (("old", 30), ("new", 1)):
            (folder / run / "20260101T000000.000000Z").mkdir(parents=True)
            age(folder / run, days)
    going = {one.path for one in plan(home, "toy", FEW, NONE, NOW)}
    assert going == {folder / "old" for folder in places}
