"""A user's files with the names of this program's packages, in a folder that `PYTHONPATH` puts in front."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "tasks", "report", "release", "sources", "expectations", "serving", "model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds a file by the name of each package."""
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text('raise ImportError("the user\'s own file")\n')
    return tmp_path


def python(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the installed script does it: without the current folder, but with `PYTHONPATH`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", str(ROOT)])}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("status", "--home", "."), ("retrain", "absent.yaml")])
def test_commands_are_this_programs_own(folder: Path, arguments: tuple[str, ...]) -> None:
    done = python(folder, "import headgate; headgate.main()", *arguments)
    assert "user's own file" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.returncode == (2 if "retrain" in arguments else 0), done.stderr


def test_so_are_the_processes_that_they_start(folder: Path) -> None:
    imports = "; ".join(f"import {name}; print({name}.__path__[0])" for name in PACKAGES)
    code = f"""
import subprocess, sys
from headgate import own_packages_first
own_packages_first()
sys.exit(subprocess.run([sys.executable, "-c", {imports!r}], cwd="/").returncode)
"""
    done = python(folder, code)
    assert done.stdout.split() == [str(ROOT / name) for name in PACKAGES], done.stderr


def test_the_installed_command_begins_there() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"headgate": "headgate:main"}
    assert "headgate.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
