"""What dead processes left half written goes; what living ones write, and what only looks like it, stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model.files import write_bytes
from release.home import Home
from release.leftovers import BEING_WRITTEN, remove_leftovers

DEAD = 2**22 + 1
"""Larger than any process id of Linux."""


@pytest.mark.parametrize(
    "name",
    [
        f".building.{DEAD}.0a1b",
        f".current.{DEAD}.12345678",
        f"..release.key.{DEAD}.aa.{DEAD}.bb",
        f".00000001.{DEAD}.0f0f",
        f".bundle.{DEAD}.x_9",
        f".checkpoint.safetensors.{DEAD}",
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
        ".current.{alive}.00001234",
        "..release.key.{alive}.aa",
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
    assert match is not None and int(match["pid"]) == os.getpid()
