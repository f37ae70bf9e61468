"""The scale race is fair: both sides arrive at the same counts, and a difference would be seen."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data_scale import differing, linearity, measures_of
from benchmarks.data_scale_plain import judge_plainly, merge_plainly
from benchmarks.data_scale_rows import heads, sources, split_spec, write_load
from sources.dataset import build_dataset


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sources with 3,000 rows in all."""
    folder = tmp_path_factory.mktemp("load")
    write_load(folder, 3000)
    return folder


@pytest.fixture(scope="module")
def plain(load: Path) -> dict[str, Any]:
    """Counts of the plain script."""
    return merge_plainly(load, load / "plain")


def test_both_sides_count_the_same(load: Path, plain: dict[str, Any]) -> None:
    dataset = build_dataset(sources(), heads(), split_spec(), load, load / "data")
    profile = json.loads((dataset.path / "profile.json").read_text(encoding="utf-8"))
    assert profile["rows"] == plain["rows"]
    assert profile["conflicts"] == plain["conflicts"]
    assert profile["text_shared_between_splits"] == plain["shared"]
    assert profile["finding_totals"]["text_not_blank"] == plain["blank"]
    for head, about in profile["heads"].items():
        assert {split: of["counts"] for split, of in about["splits"].items()} == plain["labels"][head]


def test_the_load_has_something_of_every_kind(plain: dict[str, Any]) -> None:
    assert all(plain["rows"].values())
    assert plain["blank"] > 0
    assert plain["shared"] > 0
    assert plain["conflicts"]["topic"] > 0
    assert judge_plainly(plain)


def test_data_that_break_a_rule_are_not_accepted(plain: dict[str, Any]) -> None:
    broken = copy.deepcopy(plain)
    broken["labels"]["topic"]["train"]["topic_03"] = 0
    assert not judge_plainly(broken)


def test_every_differing_or_missing_count_counts() -> None:
    ours = {"rows": {"train": 3, "test": 1}, "blank": 2}
    assert differing(ours, ours) == 0
    assert differing(ours, {"rows": {"train": 4, "test": 1}, "blank": 2}) == 1
    assert differing(ours, {"rows": {"train": 3}}) == 2


def test_counts_that_differ_fail_the_benchmark_whatever_the_time() -> None:
    def side(rows: int) -> dict[str, Any]:
        counts = {"rows": {"train": rows}}
        return {
            "seconds": {"merge": 1.0, "validate": 1.0},
            "accepted": True,
            "peak_mib": 100.0,
            "load_before": 0.0,
            "cpu_s": 1.5,
            "counts": counts,
        }

    measures = list(measures_of(20_000, {"headgate": side(5), "pandas": side(6)}))
    assert [measure.name for measure in measures if measure.met is False] == [
        "20,000 rows: counts that differ"
    ]


def test_growth_is_measured_by_time_a_row() -> None:
    def side(seconds: float) -> dict[str, dict[str, Any]]:
        return {"headgate": {"cpu_s": seconds}}

    straight = linearity({1_000: side(1.0), 10_000: side(10.0), 30_000: side(30.0)})
    assert straight.value == pytest.approx(1.0)
    assert straight.met
    square = linearity({10_000: side(10.0), 30_000: side(90.0)})
    assert square.value == pytest.approx(3.0)
    assert not square.met
