"""Merging three sources arrives at the counts of a plain pandas script."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sources.dataset import build_dataset
from tests.support.plain_pandas import differing, judge_plainly, merge_plainly
from tests.support.scale_rows import heads, sources, split_spec, write_load


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
