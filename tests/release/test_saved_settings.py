"""Settings of a project: written and read back, of a newer version too; damaged ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from release.home import Home
from release.saved_settings import Settings, SettingsBroken, load_settings, save_settings
from release.spec import RegistrySpec
from serving.spec import DeploySpec

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
