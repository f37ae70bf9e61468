"""The chance of an equally good model, before anything is trained, is what simulated models have."""

from __future__ import annotations

import numpy as np
import pytest

from expectations.chances import head_chances
from expectations.spec import GateRules
from expectations.stats.chance import (
    DISAGREEING,
    FALSE,
    HITS,
    chance,
    disagreeing_labels,
    lower_bounds_of_labels,
    lower_bounds_of_rows,
)
from expectations.stats.paired import all_alike, paired_difference
from model.spec import HeadSpec
from tests.support.margin_worlds import World, macro_passes


def test_rows_have_the_chance_that_the_gate_gives_them() -> None:
    """600 simulated models each: a standard error of 2 points, and 2.5 of the 400 draws."""
    rng = np.random.default_rng(1)
    for rows, margin in ((300, 0.05), (1600, 0.015), (1600, 0.03)):
        apart = rng.choice([1, -1, 0], p=[0.05, 0.05, 0.9], size=(600, rows))
        passed = [paired_difference(one >= 0, one <= 0, 0.95).lower > -margin for one in apart]
        planned = chance(lower_bounds_of_rows(rows, 0.95), margin, 0.8)
        assert planned.passes == pytest.approx(np.mean(passed), abs=0.08)


@pytest.mark.parametrize(
    ("prevalence", "margin"), [((0.1, 0.2, 0.4), 0.04), ((0.01, 0.12, 0.12, 0.12), 0.06), ((0.05,) * 6, 0.05)]
)
def test_labels_have_the_chance_that_the_gate_gives_them(
    prevalence: tuple[float, ...], margin: float
) -> None:
    """The whole gate on 120 samples of 400 rows, beside the plan for the expected rows of each label. Redrawn
    cells disagree with 2 · 0.8 · 0.2 = 0.32 of their chance."""
    world = World(
        name="planned",
        rows=400,
        prevalence=prevalence,
        margin=margin,
        hit=HITS,
        claimed=FALSE,
        redrawn=DISAGREEING / (2 * HITS * (1 - HITS)),
        equal=True,
    )
    seen = macro_passes(world, 120, 200).now
    planned = chance(lower_bounds_of_labels(400 * np.array(prevalence), 400, 0.95), margin, 0.8)
    assert planned.passes == pytest.approx(seen, abs=0.17)


def test_the_margin_is_the_one_with_the_power() -> None:
    lower = lower_bounds_of_rows(800, 0.95)
    planned = chance(lower, 0.015, 0.8)
    assert np.mean(lower > -planned.margin - 1e-9) >= 0.8 > np.mean(lower > -planned.margin + 0.002)


def test_the_share_that_disagrees_comes_back_from_the_error() -> None:
    rows = np.array([40.0, 80.0, 160.0])
    error = 0.01
    share = disagreeing_labels(error**2, rows)
    assert disagreeing_labels(4 * error**2, rows) == pytest.approx(min(4 * share, 0.4))


PROFILE = {
    "heads": {
        "topic": {"splits": {"test": {"labelled": 1600, "counts": {"a": 1000, "b": 600}}}},
        "defect": {"splits": {"test": {"labelled": 400, "counts": {"scratch": 2, "dent": 48, "rust": 48}}}},
    }
}
HEADS = {
    "topic": HeadSpec(kind="multiclass", labels=("a", "b")),
    "defect": HeadSpec(kind="multilabel", labels=("scratch", "dent", "rust")),
    "new": HeadSpec(kind="multiclass", labels=("x", "y")),
}


def test_each_head_is_told_what_its_rows_can_decide() -> None:
    topic, defect, new = head_chances(PROFILE, HEADS, GateRules(margin=0.03))
    assert topic.passes is not None and topic.passes > 0.9 and not topic.low
    assert defect.passes is not None and defect.passes < 0.1 and defect.low
    assert "`scratch` has 2" in defect.warning and "chance of" in defect.warning
    assert new.passes is None and new.low and "label some" in new.warning
    for one in (topic, defect, new):
        assert len(f"  {one.line}") <= 80
        assert one.to_json()["line"] == one.line


def test_rows_in_groups_have_a_smaller_chance() -> None:
    groups = np.arange(1600) // 20
    assert all_alike(groups) == pytest.approx(20)
    assert all_alike(np.arange(1600)) == 1.0
    (alone,) = head_chances(PROFILE, {"topic": HEADS["topic"]}, GateRules(margin=0.03))
    (grouped,) = head_chances(PROFILE, {"topic": HEADS["topic"]}, GateRules(margin=0.03), groups=groups)
    assert alone.passes is not None and grouped.passes is not None
    assert grouped.passes < 0.2 < alone.passes
    assert grouped.power_margin is not None and alone.power_margin is not None
    assert grouped.power_margin > 2 * alone.power_margin


def test_the_champions_own_disagreement_counts_where_there_is_one() -> None:
    """An error of 0.005 on 1,600 rows: 0.005² · 1,600 = 4% of the rows disagreed."""
    figures = {"standard_error": 0.005, "n": 1600}
    verdict = {"findings": [{"subject": "topic", "figures": figures}]}
    topic, _, _ = head_chances(PROFILE, HEADS, GateRules(), champion=verdict)
    assert topic.from_champion and topic.disagreeing == pytest.approx(0.04)
    assert topic.passes is not None and topic.passes > 0.8
