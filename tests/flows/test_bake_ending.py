"""A version that is taken back while it is watched, through real Prefect tasks to the run's named ending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State

from expectations.verdict import Verdict
from flows.ending import noted
from flows.outcome import Outcome
from flows.parts.conclude import being_watched, ending_of, release_of, ship, watched_through
from flows.schedule.endings import last_endings
from release.home import Home
from release.registry.candidate import Candidate
from release.registry.register import register_version
from release.saved_settings import Settings
from tests.support.bakes import Baked, asking
from tests.support.projects import home, store
from tests.support.toy_bundle import NAME
from tests.support.toy_release import World

__all__ = ["home", "store"]


@flow(name="shipping")
def shipping(baked: Any, candidate: Any) -> State[Outcome]:
    """What a retraining does with a candidate that passed."""
    place, made = baked.world.home, candidate
    assert isinstance(made, Candidate) and isinstance(made.verdict, Verdict)
    settings = Settings(registry=baked.world.spec, deploy=baked.spec)
    registered = register_version(place, NAME, settings.registry, made)
    deployed = ship(place, NAME, settings, registered, made)
    watched = watched_through(place, NAME, being_watched(place, NAME, settings, deployed))
    release = release_of(registered, deployed, None, watched)
    return noted(place, Outcome(name=NAME, **ending_of(NAME, made.verdict, release)))


@pytest.mark.usefixtures("prefect_harness")
def test_a_version_that_is_taken_back_ends_its_run_as_rolled_back(home: Home, tmp_path: Path) -> None:
    baked = Baked(World(tmp_path))
    try:
        first: Any = shipping(baked, baked.candidate(), return_state=True)  # type: ignore[call-overload]
        assert first.name == "Deployed" and "it is the first version" in first.message, first
        with asking(baked.world.state_file):
            off = baked.candidate(answered={"low": 0.98, "mid": 0.01, "high": 0.01})
            state: Any = shipping(baked, off, return_state=True)  # type: ignore[call-overload]
    finally:
        baked.world.stop()
    outcome = state.result(raise_on_failure=False)
    assert (state.name, state.is_failed(), outcome.stage, outcome.exit_code) == (
        "RolledBack",
        True,
        "taken_back",
        6,
    )
    assert "max_label_shift is 10%" in state.message
    assert outcome.registered["version"] == 2 and outcome.deployed["version"] == 1
    assert [one.end for one in last_endings(home, NAME, 2)] == ["Deployed", "RolledBack"]
