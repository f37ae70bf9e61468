"""What dead processes left half written goes; what living ones write, and what only looks like it, stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.files import process_space, write_bytes
from release.home import Home
from release.leftovers import BEING_WRITTEN, ELSEWHERE_S, remove_leftovers

ROOT = Path(__file__).resolve().parents[2]

DEAD = 2**22 + 1
"""Larger than any process id of Linux."""
HERE = process_space()


@pytest.mark.parametrize(
    "name",
    [
        f".building.{DEAD}.{HERE}_0a1b",
        f".current.{DEAD}.{HERE}_12345678",
        f"..release.key.{DEAD}.aa.{DEAD}.{HERE}_bb",
        f".00000001.{DEAD}.{HERE}_0f0f",
        f".bundle.{DEAD}.{HERE}_x_9",
    ],
)
def test_half_written_things_of_the_dead_go(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.cache / "deep").mkdir()
    (home.cache / "deep" / name).write_text("half")
    (home.data / name).mkdir()
    (home.data / name / "part").write_text("half")
    assert remove_leftovers(home) == [f"removed {name}", f"removed {name}"]
    assert not [path for path in home.root.rglob("*") if path.name == name]


@pytest.mark.parametrize(
    "name",
    [
        f".current.{{alive}}.{HERE}_00001234",
        f"..release.key.{{alive}}.{HERE}_aa",
        f".current.{DEAD}.0123abcd_12345678",
        f".current.{DEAD}.12345678",
        f".checkpoint.safetensors.{DEAD}",
        ".lock",
        ".tokens",
        "00000001",
        f"report.{DEAD}.html",
        ".toy.json.lock",
    ],
)
def test_everything_else_stays(name: str, tmp_path: Path) -> None:
    name = name.format(alive=os.getpid())
    home = Home(tmp_path / "home")
    (home.cache / name).write_text("whole, or being written")
    assert remove_leftovers(home) == []
    assert (home.cache / name).is_file()


@pytest.mark.parametrize("name", [f".made.{DEAD}.0123abcd_1234", ".made.{alive}.0123abcd_12", f".x.{DEAD}"])
def test_what_was_written_elsewhere_goes_once_nobody_writes_to_it(name: str, tmp_path: Path) -> None:
    """Numbers of processes say nothing about another machine or container that shares the folder."""
    name = name.format(alive=os.getpid())
    home = Home(tmp_path / "home")
    (home.cache / name).mkdir()
    part = home.cache / name / "part"
    part.write_text("half")
    day_ago = time.time() - ELSEWHERE_S - 60
    os.utime(home.cache / name, (day_ago, day_ago))
    assert remove_leftovers(home) == [], "something in it is being written"
    os.utime(part, (day_ago, day_ago))
    assert remove_leftovers(home) == [f"removed {name}"]


def test_work_of_a_container_that_shares_the_home_stays(tmp_path: Path) -> None:
    """A process in a namespace of its own writes; seen from here, its number is nobody's, or another's."""
    home, apart = Home(tmp_path / "home"), ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*apart, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine allows no namespaces")
    code = (
        "import sys, pathlib; from model.files import unfinished_path; "
        "unfinished_path(pathlib.Path(sys.argv[1])).write_text('half')"
    )
    subprocess.run([*apart, sys.executable, "-c", code, str(home.cache / "model")], check=True, cwd=ROOT)
    (left,) = home.cache.iterdir()
    match = BEING_WRITTEN.fullmatch(left.name)
    assert match is not None and match["where"] not in (None, HERE)
    assert remove_leftovers(home) == []
    assert left.exists()


def test_what_libraries_keep_is_theirs(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.mlflow / f".x.{DEAD}.a").write_text("MLflow's")
    (home.cache / "datasets").mkdir()
    (home.cache / "datasets" / f".x.{DEAD}.a").write_text("the hub's")
    assert remove_leftovers(home) == []


def test_what_is_written_durably_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that dies between opening and renaming leaves a name that is recognised."""
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append([p.name for p in tmp_path.iterdir()]))
    write_bytes(tmp_path / "state.json", b"{}")
    (name,) = seen[0]
    match = BEING_WRITTEN.fullmatch(name)
    assert match is not None and (int(match["pid"]), match["where"]) == (os.getpid(), HERE)
