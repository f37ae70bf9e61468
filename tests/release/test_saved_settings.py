"""Settings of a project: written and read back, of a newer version too; damaged ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.config.load import load_project
from release.home import Home
from release.registry.candidate import Candidate
from release.saved_settings import Settings, SettingsBroken, load_settings, save_settings
from release.spec import RegistrySpec
from release.targets import endpoint
from serving.bearer import read_token
from serving.spec import DeploySpec
from tests.release.test_adopt import ship

SETTINGS = Settings(
    registry=RegistrySpec(model="m"), deploy=DeploySpec(port=0, target_config={"a": "b"}, poll_s=1)
)


@pytest.fixture
def saved(tmp_path: Path) -> Home:
    """A home with the settings of `toy`."""
    home = Home(tmp_path)
    save_settings(home, "toy", SETTINGS)
    return home


def file(home: Home) -> Path:
    return home.projects / "toy.json"


def test_they_come_back(saved: Home) -> None:
    assert load_settings(saved, "toy") == SETTINGS
    assert load_settings(saved, "other") == Settings()
    assert file(saved).stat().st_mode & 0o777 == 0o600


def test_a_newer_version_added_fields_which_stay(saved: Home) -> None:
    raw = json.loads(file(saved).read_text())
    raw["new"] = 1
    raw["deploy"]["newer"] = [2]
    file(saved).write_text(json.dumps(raw))
    assert load_settings(saved, "toy") == SETTINGS
    save_settings(saved, "toy", Settings(deploy=DeploySpec(port=4711)))
    written = json.loads(file(saved).read_text())
    assert (written["new"], written["deploy"]["newer"], written["deploy"]["port"]) == (1, [2], 4711)
    assert written["deploy"]["target_config"] == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"{}", b'{"registry": {}, "deploy": {"port": "a"}}'])
def test_damaged_ones_are_refused_with_what_to_do(saved: Home, content: bytes) -> None:
    file(saved).write_bytes(content)
    with pytest.raises(SettingsBroken, match=r"toy\.json: .*remove it and run `headgate retrain CONFIG`"):
        load_settings(saved, "toy")


def test_a_link_to_nothing_is_not_a_project_that_was_never_deployed(saved: Home) -> None:
    file(saved).unlink()
    file(saved).symlink_to("nowhere")
    with pytest.raises(SettingsBroken, match="a link to nothing"):
        load_settings(saved, "toy")


TOKEN = "a-long-enough-token-4711"


def project(folder: Path) -> Path:
    """A configuration whose token file is named from its own folder."""
    raw = {
        "name": "toy",
        "heads": {"mood": "multiclass"},
        "sources": {"rows": {"path": "rows.csv", "heads": {"mood": "mood"}}},
        "deploy": {"token_file": "secret/token", "port": 0},
    }
    (folder / "secret").mkdir(parents=True)
    (folder / "secret" / "token").write_text(TOKEN)
    (folder / "secret" / "token").chmod(0o600)
    (folder / "toy.yaml").write_text(yaml.safe_dump(raw))
    return folder / "toy.yaml"


def test_a_token_file_is_found_from_the_configurations_folder_wherever_a_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with the state folder beside it, when both are moved."""
    config = project(tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    deploy = load_project(config).deploy
    assert read_token(deploy.token_file) == TOKEN
    save_settings(Home(config.parent / ".headgate"), "toy", Settings(deploy=deploy))
    shutil.move(config.parent, tmp_path / "moved")
    found = load_settings(Home(tmp_path / "moved" / ".headgate"), "toy").deploy.token_file
    assert found == str((tmp_path / "moved" / "secret" / "token").resolve())
    assert read_token(found) == TOKEN


def test_a_token_file_that_lies_elsewhere_keeps_its_place(tmp_path: Path) -> None:
    save_settings(
        Home(tmp_path / "home"), "toy", Settings(deploy=DeploySpec(token_file="/etc/headgate/token"))
    )
    assert load_settings(Home(tmp_path / "home"), "toy").deploy.token_file == "/etc/headgate/token"


def test_an_endpoint_is_started_and_asked_with_it_from_another_folder(
    home: Home, candidate: Callable[..., Candidate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = project(tmp_path / "project")
    ship(home, candidate(1))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    save_settings(home, "toy", Settings(deploy=load_project(config).deploy))
    endpoint.start(home.root, "toy")
    assert endpoint.ask(home.root, "toy", ["rain"])["version"] == 1
    assert endpoint.stop(home.root, "toy")
