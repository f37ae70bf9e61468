"""Where state lives: the option, the variable, or next to the configuration; nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flows.state_folder import NoHome, config_home, existing_home, prepare, with_home


@pytest.fixture(autouse=True)
def _no_home_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADGATE_HOME", raising=False)


def test_state_is_next_to_the_configuration(tmp_path: Path) -> None:
    assert config_home(tmp_path / "a.yaml", None) == tmp_path / ".headgate"


def test_a_configuration_that_is_a_link_has_its_state_where_it_was_named(tmp_path: Path) -> None:
    """As Kubernetes mounts it: a link to a file in a dated folder, which is gone with the next change."""
    dated = tmp_path / "config" / "..2026_11_30"
    dated.mkdir(parents=True)
    (dated / "a.yaml").write_text("name: a\n")
    (tmp_path / "config" / "..data").symlink_to(dated.name)
    (tmp_path / "config" / "a.yaml").symlink_to("..data/a.yaml")
    assert config_home(tmp_path / "config" / "a.yaml", None) == tmp_path / "config" / ".headgate"


def test_the_option_beats_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "variable"))
    assert config_home(tmp_path / "a.yaml", None) == tmp_path / "variable"
    assert config_home(tmp_path / "a.yaml", tmp_path / "option") == tmp_path / "option"


def test_a_command_without_configuration_finds_the_home_that_knows_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".headgate").mkdir()
    (tmp_path / "configs" / ".headgate" / "releases" / "support").mkdir(parents=True)
    assert existing_home(None, "support") == tmp_path / "configs" / ".headgate"
    assert existing_home(None, None) == tmp_path / ".headgate"


def test_an_unknown_name_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        NoHome, match=r"nothing was ever deployed as 'support' \(looked at \.headgate, configs"
    ):
        existing_home(None, "support")


@pytest.mark.parametrize(("name", "mode"), [(".headgate", 0o700), ("state", 0o755)])
def test_a_folder_of_the_default_name_is_closed_to_others(
    name: str, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that `make run` made for the quickstart's data; another's mode is its owner's matter."""
    home = tmp_path / name
    home.mkdir()
    home.chmod(0o755)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    prepare(home, on_console=False)
    assert stat.S_IMODE(home.stat().st_mode) == mode


def test_telemetry_is_off_whatever_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in dict(os.environ):
        if variable.startswith(("MLFLOW_", "PREFECT_", "GX_", "HF_", "MPL", "HEADGATE_", "DO_NOT")):
            monkeypatch.delenv(variable)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "false"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "77"
    prepare(tmp_path, on_console=False)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_commands_in_a_sentence_find_the_state_folder_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a home"
    (home / "releases" / "support").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    said = "version 2 serves by now: run `headgate judge support 3`, or `headgate retrain CONFIG`"
    assert with_home(said, home) == said.replace("support 3", f"support 3 --home '{home}'")
    assert with_home(with_home(said, home), home) == with_home(said, home)
    monkeypatch.setenv("HEADGATE_HOME", str(home))
    assert with_home(said, home) == said
