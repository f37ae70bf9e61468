"""A version that another champion overtook is held, and serves by the command that is printed, as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from release.home import Home
from release.moves.rollback import roll_back
from release.targets.endpoint import ask, stop
from tests.endtoend.test_retrain_flow import NAME, _project, _write_data, run
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.traced import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def headgate(arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command as somebody types it, somewhere else than where the project is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m headgate {arguments}"],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_printed_command_judges_beside_the_champion_of_now_and_deploys(
    tmp_path: Path, prefect_harness: None
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    project.mkdir()
    make_tiny_backbone(project / "encoder")
    _write_data(project)
    home = Home(project / "home")
    try:
        for seed in (1, 2):
            state, outcome = run(_project(project, train={"seed": seed}))
            assert state == "Deployed", outcome.reasons
        assert roll_back(home, NAME).serving == 1
        before = set(home.runs.iterdir())
        config = _project(project, train={"seed": 3})

        def overtake() -> None:
            """Once the run has found the champion that it is compared with, another serves."""
            while set(home.runs.iterdir()) == before:
                time.sleep(0.1)
            assert roll_back(home, NAME, 2).serving == 2

        other = threading.Thread(target=overtake)
        other.start()
        held = headgate(f"retrain {config} --home {home.root}", elsewhere)
        other.join()
        assert held.returncode == 4 and "Held" in held.stdout, held.stdout + held.stderr
        printed = re.search(r"`headgate (judge [^`]*)`", held.stdout)
        assert printed is not None, held.stdout
        assert ask(home.root, NAME, ["sun rain"])["version"] == 2

        judged = headgate(printed[1], elsewhere)
        assert judged.returncode == 0 and "Deployed" in judged.stdout, judged.stdout + judged.stderr
        assert ask(home.root, NAME, ["sun rain"])["version"] == 3
        assert not list(elsewhere.iterdir())
    finally:
        stop(home.root, NAME)
