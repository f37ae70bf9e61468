"""The gates judge themselves on whole bundles, scored and timed in processes of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expectations.gates.selftest import Case
from tests.campaigns.gates import TOY_RULES, Bench, judged_rightly, make_toy


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    place = tmp_path_factory.mktemp("gates")
    bench = Bench(*make_toy(place), place, TOY_RULES)
    return {case.name: case for case in bench.cases()}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_broken_copy_is_rejected_for_the_right_reason(cases: dict[str, Case]) -> None:
    heads = [
        f"{head}: {what}"
        for head in ("mood", "topics")
        for what in ("labels shuffled", "weights zeroed", "a bias added")
    ]
    assert list(cases) == ["against itself", *heads, "a sleep in the predictor", "doubled memory"]
    wrong = {name: case.objections for name, case in cases.items() if not judged_rightly(case)}
    assert not wrong
    assert "its baseline" in cases["mood: labels shuffled"].verdict.reasons[0]
    slow = {f.subject: f.reason for f in cases["a sleep in the predictor"].verdict.findings}
    assert "sharing does not pay" in slow["latency vs baselines"]
    heavy = {f.subject: f.reason for f in cases["doubled memory"].verdict.findings}
    assert "of the sum of the baselines, too much" in heavy["peak memory vs baselines"]


def test_it_can_fail(cases: dict[str, Case]) -> None:
    """A copy that no finding objects to, or the wrong one does, counts as judged wrongly."""
    missed = replace(cases["mood: labels shuffled"], verdict=cases["against itself"].verdict)
    assert not judged_rightly(missed)
    other = replace(cases["mood: labels shuffled"], verdict=cases["topics: labels shuffled"].verdict)
    assert not judged_rightly(other)
