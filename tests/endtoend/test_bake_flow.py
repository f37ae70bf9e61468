"""A deployed version that answers otherwise than on its test rows is taken back, on the real flow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.outcome import Outcome
from flows.schedule.endings import last_endings
from release.home import Home
from release.saved_settings import state_file
from tests.support.bakes import asking
from tests.support.tiny_encoder import WORDS
from tests.support.tiny_project import deployed_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
NAME = "tiny"


@pytest.fixture
def config(tmp_path: Path, prefect_harness: None) -> Iterator[Path]:
    """A project that watches what it deploys; its endpoint is stopped at the end."""
    from release.targets.endpoint import stop

    made = deployed_config(tmp_path)
    raw = yaml.safe_load(made.read_text(encoding="utf-8"))
    raw["deploy"]["bake"] = {"minutes": 2, "min_requests": 60}
    made.write_text(yaml.safe_dump(raw), encoding="utf-8")
    yield made
    stop(tmp_path / "home", NAME)


def run(config: Path) -> tuple[Any, Outcome]:
    from flows.retrain import retrain

    state: Any = retrain(config, home=config.parent / "home", return_state=True)  # type: ignore[call-overload]
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome), outcome
    return state, outcome


def test_a_version_is_taken_back_by_what_users_send_and_not_made_again(config: Path) -> None:
    home = Home(config.parent / "home")
    _, first = run(config)
    assert first.stage == "deployed", first.reasons
    assert first.reasons == ("it was not watched: it is the first version, and there is none to go back to",)

    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    raw["train"]["seed"] = 3
    config.write_text(yaml.safe_dump(raw), encoding="utf-8")
    # Half of the test rows are about the weather; users ask about nothing else.
    with asking(state_file(home, NAME), [" ".join([word] * 6) for word in WORDS[:4]], pause_s=0.02):
        state, outcome = run(config)
    assert (outcome.stage, outcome.exit_code, state.name, state.is_failed()) == (
        "taken_back",
        6,
        "RolledBack",
        True,
    ), outcome
    assert "head topic: label 'weather' is " in outcome.reasons[0]
    assert outcome.registered["version"] == 2 and outcome.deployed["version"] == 1
    page = Path(outcome.pages["Report"]).read_text(encoding="utf-8")
    assert "was deployed and taken back" in page
    ending = last_endings(home, NAME, 1)[-1]
    assert (ending.end, ending.flow) == ("RolledBack", "retrain")

    _, again = run(config)
    assert again.stage == "unchanged" and "version 2 was withdrawn on " in again.reasons[0], again.reasons
