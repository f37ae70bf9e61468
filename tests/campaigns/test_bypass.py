"""A fifth of the ways past the gates, each against a real registry, release folder and endpoint.

`python -m tests.campaigns.bypass` tries all of them, with a cold start and the flow's own mending after each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.bypass import ATTACKS, SEEN_WHEN_COLD, try_way
from tests.support.bypass_world import World, make_store

TRIED = tuple(ATTACKS)[::5]
UNGATED = "bundle of nobody knows where"


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    before = dict(os.environ)
    made = make_store(tmp_path_factory.mktemp("bypass"))
    os.environ.clear()
    os.environ.update(before)
    return made


def test_there_are_enough_ways() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize("way", TRIED)
def test_no_ungated_model_answers_and_a_trace_is_left(way: str, store: Path) -> None:
    tried = try_way(way, store, thorough=way in SEEN_WHEN_COLD)
    assert tried.answered <= {"version 1", "version 2"}, tried
    assert tried.logged, tried


def test_ungated_traffic_would_be_seen(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch itself is tried: whoever holds the key leaves out the gates, and the watch finds it."""

    def by_the_key_holder(world: World) -> None:
        bundle, _ = world.bundle(66)
        world.folder.stage(bundle, world.manifest(2, 66), world.private_key)
        world.folder.promote(2, world.private_key)

    monkeypatch.setitem(ATTACKS, UNGATED, by_the_key_holder)
    assert "UNGATED" in try_way(UNGATED, store, thorough=False).answered
