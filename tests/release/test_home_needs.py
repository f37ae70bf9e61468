"""What a state folder has to be able to do is tried before anything else, and said."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.cli.commands import main
from flows.state_folder import prepare
from release.home import Home
from release.home_needs import HomeUnusable, refuse_unusable
from release.moves.reconcile import reconcile
from release.registry.candidate import Candidate
from release.spec import RegistrySpec

Make = Callable[..., Candidate]


def test_a_folder_that_does_is_made_closed_to_others_and_left_empty(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    refuse_unusable(home)
    assert list(home.root.iterdir()) == []
    assert home.root.stat().st_mode & 0o777 == 0o700


def test_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(HomeUnusable, match=r"state folder .*home: it can't be made .*--home FOLDER"):
        refuse_unusable(Home(tmp_path / "home"))


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """A project folder that nobody can write, not even root."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "toy.yaml").write_text(
        "name: toy\nheads: {mood: multiclass}\nsources: {rows: {path: rows.csv, heads: {mood: mood}}}\n"
    )
    return folder


def in_read_only(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where `folder` is mounted read-only; skips where that is not allowed."""
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    inside = ["unshare", "--mount", "sh", "-c", f'{mount} || exit 77; exec "$@"', "sh", *command]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not here")
    done = subprocess.run(inside, capture_output=True, text=True, timeout=120)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("mounting is not allowed here")
    return done


def test_a_read_only_project_folder_is_said_without_a_traceback(
    read_only: Path, child_environment: dict[str, str]
) -> None:
    import sys

    command = [sys.executable, "-m", "flows.cli.commands", "retrain", str(read_only / "toy.yaml")]
    environment = {k: v for k, v in child_environment.items() if k not in ("HEADGATE_HOME",)}
    exported = [f"{name}={value}" for name, value in environment.items()]
    done = in_read_only(read_only, "env", *exported, *command)
    assert done.returncode == 2, done.stderr
    assert "can't be made (Read-only file system)" in done.stderr and "--home FOLDER" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("call", ["flock", "lockf"])
def test_a_file_system_without_locks_is_said(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, call, refuse)
    with pytest.raises(HomeUnusable, match=r"can't lock a file \(No locks available\)"):
        prepare(tmp_path / "home", on_console=False)


def test_nothing_needs_hard_links(home: Home, candidate: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.release.test_crashes import ship

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    refuse_unusable(home)
    assert ship(home, candidate(1)) == 1
    assert reconcile(home, "toy", RegistrySpec()) == ()


def test_the_command_line_ends_with_the_code_of_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    (tmp_path / "home").write_text("a file")
    config = tmp_path / "toy.yaml"
    config.write_text(
        "name: toy\nheads: {mood: multiclass}\nsources: {rows: {path: rows.csv, heads: {mood: mood}}}\n"
    )
    os.environ["HEADGATE_HOME"] = str(tmp_path / "home")
    done = CliRunner().invoke(main, ["adopt", str(config)])
    assert done.exit_code == 2 and "can't be made" in done.stderr, done.output
