"""The release folder says what serves, whatever a registry loses and wherever it or the home goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.home import environment
from tests.support.crossed import crossed
from tests.support.registry_worlds import ACTIONS, LOSSES, PLACES, STRANGERS, problem_of
from tests.support.toy_release import World


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a world that is not there yet."""
    for variable, value in environment(World(tmp_path / "world").home).items():
        monkeypatch.setenv(variable, value)
    return tmp_path / "world"


@pytest.mark.parametrize(("loss", "action"), crossed(LOSSES, ACTIONS))
def test_what_a_registry_loses_stops_no_command(loss: str, action: str, place: Path, store: Path) -> None:
    assert problem_of(loss, action, place, store) == ""


@pytest.mark.parametrize(("stranger", "action"), crossed(STRANGERS, ACTIONS))
def test_a_registry_of_another_story_is_noticed_and_can_be_adopted(
    stranger: str, action: str, place: Path, store: Path
) -> None:
    assert problem_of(stranger, action, place, store) == ""


@pytest.mark.parametrize(("what", "action"), crossed(PLACES, ACTIONS))
def test_a_state_folder_can_be_copied_moved_and_restored(
    what: str, action: str, place: Path, store: Path
) -> None:
    assert problem_of(what, action, place, store) == ""
