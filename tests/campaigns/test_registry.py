"""What the campaign of registries claims follows from what it saw."""

from __future__ import annotations

from tests.campaigns import registry
from tests.support.measures import all_met
from tests.support.registry_worlds import ACTIONS, WORLDS


def test_the_whole_tries_every_pair_and_a_part_every_world() -> None:
    every = registry.chosen(registry.SIZES["cases"].whole, seed=0)  # type: ignore[arg-type]
    assert set(every) == {(world, command) for world in WORLDS for command in ACTIONS}
    part = registry.chosen(registry.SIZES["cases"].quick, seed=1)  # type: ignore[arg-type]
    assert [world for world, _ in part] == list(WORLDS)


def test_one_wrong_outcome_fails_the_campaign_and_is_shown() -> None:
    right = dict.fromkeys(registry.chosen(len(WORLDS), seed=0), True)
    assert all_met(registry.measures_of(right)) is True
    first = next(iter(right))
    assert all_met(registry.measures_of({**right, first: False})) is False
    row = next(line for line in registry.table({**right, first: False}).splitlines() if first[0] in line)
    assert "WRONG" in row
