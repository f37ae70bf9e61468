"""All state lies under one folder that only its owner may look into."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from release.home import Home, environment

FOLDERS = (
    "mlflow",
    "data",
    "cache",
    "runs",
    "reports",
    "keys",
    "endpoints",
    "journal",
    "logs",
    "locks",
    "prefect",
)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_made_when_asked_for_and_closed_to_others(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    folder = getattr(home, name)
    assert folder == tmp_path / "deep" / "home" / name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_asking_for_a_release_folder_does_not_make_it(tmp_path: Path) -> None:
    assert not Home(tmp_path).releases("support").exists()


def test_the_environment_keeps_state_under_home_and_makes_nothing(tmp_path: Path) -> None:
    variables = environment(Home(tmp_path / "home"), given={})
    assert not (tmp_path / "home").exists()
    paths = {name: value for name, value in variables.items() if value.startswith("/")}
    assert {"PREFECT_HOME", "PREFECT_LOCAL_STORAGE_PATH", "MPLCONFIGDIR"} <= paths.keys()
    assert all(Path(value).is_relative_to(tmp_path / "home") for value in paths.values())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
        ("PREFECT_SERVER_UI_V2_ENABLED", "false"),
        ("DO_NOT_TRACK", "1"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
        ("GX_ANALYTICS_ENABLED", "false"),
    ],
)
def test_telemetry_is_off(variable: str, value: str, tmp_path: Path) -> None:
    assert environment(Home(tmp_path), given={})[variable] == value


def test_with_a_server_given_its_home_holds(tmp_path: Path) -> None:
    assert "PREFECT_HOME" not in environment(
        Home(tmp_path), given={"PREFECT_API_URL": "http://127.0.0.1:4200/api"}
    )
