"""Which split a text belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.errors import BadSplit
from sources.merge.identity import text_ids
from sources.merge.split import assign_splits, join_groups, unit_hash
from sources.spec import SourceSpec, SplitSpec


def texts(number: int, **columns: Any) -> pl.DataFrame:
    ids = text_ids(pl.Series("text_id", [f"text {i}" for i in range(number)]))
    frame = pl.DataFrame({"text_id": ids}).with_columns(
        given=pl.lit(None, dtype=pl.Int8), group=pl.lit(None, dtype=pl.String)
    )
    return frame.with_columns(**columns)


def assign(frame: pl.DataFrame, split: SplitSpec | None = None, **labelled: list[bool]) -> pl.Series:
    return assign_splits(frame, {h: pl.Series(v) for h, v in labelled.items()}, split or SplitSpec())["split"]


def test_the_hash_never_changes() -> None:
    # Golden values: if these change, every dataset's splits move.
    ids = pl.Series(["0" * 32, "f" * 32, "ba7816bf8f01cfea414140de5dae2223"])
    assert unit_hash(ids, seed=17).round(12).tolist() == GOLDEN


GOLDEN = [0.043070294737, 0.676326463383, 0.878225944341]
"""Worked with Python integers from the definition of SplitMix64."""


def test_shares_are_near_those_asked_for() -> None:
    shares = assign(texts(20_000)).value_counts(normalize=True)
    found = dict(shares.iter_rows())
    # standard error at 20,000: 0.3 points; five of them
    assert found["test"] == pytest.approx(0.2, abs=0.015)
    assert found["validation"] == pytest.approx(0.1, abs=0.011)


def test_labels_are_spread_as_in_a_random_sample() -> None:
    assert np.corrcoef(unit_hash(texts(5000)["text_id"], 17), np.arange(5000) % 7)[0, 1] == pytest.approx(
        0, abs=0.06
    )


@given(st.integers(0, 2**31), st.integers(30, 200))
def test_adding_rows_never_moves_old_ones(seed: int, more: int) -> None:
    split = SplitSpec(seed=seed, test=0.4, validation=0.3)
    few, many = texts(60), texts(60 + more)
    assert assign(few, split).to_list() == assign(many, split).to_list()[:60]


@given(st.integers(0, 2**31), st.integers(1, 60))
def test_adding_rows_to_groups_never_moves_old_ones(seed: int, more: int) -> None:
    split = SplitSpec(seed=seed, test=0.4, validation=0.3)
    author = [f"author {i % 37}" if i % 3 else None for i in range(120 + more)]
    few, many = (texts(n, group=pl.Series(author[:n], dtype=pl.String)) for n in (120, 120 + more))
    assert assign(few, split).to_list() == assign(many, split).to_list()[:120]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_no_label_is_split_otherwise_than_by_chance(seed: int) -> None:
    """Stratified in expectation: deviations of 40 labels are as large as those of random samples."""
    in_test = (assign(texts(20_000), SplitSpec(seed=seed)) == "test").to_numpy()
    shares = in_test.reshape(40, 500).mean(axis=1)
    strays = (shares - 0.2) / np.sqrt(0.2 * 0.8 / 500)
    # chi-square with 40 degrees of freedom: outside 0.25 to 2.5 times its mean once in 10^7
    assert 0.25 < np.mean(strays**2) < 2.5


def test_a_larger_validation_share_leaves_test_as_it_is() -> None:
    frame = texts(500)
    small, large = assign(frame, SplitSpec(validation=0.1)), assign(frame, SplitSpec(validation=0.3))
    assert ((small == "test") == (large == "test")).all()


def test_another_seed_is_another_split() -> None:
    frame = texts(500)
    assert (assign(frame) != assign(frame, SplitSpec(seed=18))).sum() > 100


def test_groups_stay_whole() -> None:
    frame = texts(900, group=pl.Series([f"author {i % 60}" for i in range(900)]))
    by_group = frame.with_columns(split=assign(frame)).group_by("group").agg(pl.col("split").n_unique())
    assert by_group["split"].to_list() == [1] * 60


def test_a_group_follows_its_given_texts() -> None:
    group = pl.Series(["g", "g", *[None] * 98])
    given_split = pl.Series([2, None, *[None] * 98], dtype=pl.Int8)
    assert assign(texts(100, group=group, given=given_split)).to_list()[:2] == ["test", "test"]


def test_groups_that_share_a_text_are_one() -> None:
    pairs = pl.DataFrame({"text_id": ["1", "1", "2", "2", "3", "3"], "group": list("abbcxy")})
    assert join_groups(pairs) == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "x"}
    assert join_groups(pairs.reverse()) == join_groups(pairs)


def test_validation_is_carved_out_of_given_training_rows_of_a_head_that_has_none() -> None:
    given_split = pl.Series([0] * 800 + [2] * 200, dtype=pl.Int8)
    frame = texts(1000, given=given_split)
    found = assign(frame, h=[True] * 1000)
    assert set(found[800:]) == {"test"}
    assert set(found[:800]) == {"train", "validation"}
    assert 40 < (found == "validation").sum() < 130


def test_nothing_is_carved_where_each_head_has_its_rows() -> None:
    given_split = pl.Series([0] * 800 + [1] * 100 + [2] * 100, dtype=pl.Int8)
    found = assign(texts(1000, given=given_split), h=[True] * 1000)
    assert found.to_list() == ["train"] * 800 + ["validation"] * 100 + ["test"] * 100


def test_only_the_head_that_lacks_a_split_gives_rows() -> None:
    # h has all splits; k labels the first 400 training rows and test rows, but nothing in validation
    given_split = pl.Series([0] * 800 + [1] * 100 + [2] * 100, dtype=pl.Int8)
    k = [True] * 400 + [False] * 500 + [True] * 100
    found = assign(texts(1000, given=given_split), h=[not x for x in k[:900]] + [True] * 100, k=k)
    assert "validation" in found[:400].to_list()
    assert set(found[400:800]) == {"train"}


@pytest.mark.parametrize(
    ("given_code", "split", "message"),
    [
        (2, SplitSpec(), "the train split is empty"),
        (0, SplitSpec(validation=0.0), "the validation split is empty"),
        (0, SplitSpec(test=0.0), "Set `split.test` above 0"),
        (0, SplitSpec(test=0.6, validation=0.4), "less than 1"),
    ],
)
def test_empty_splits_are_refused(given_code: int, split: SplitSpec, message: str) -> None:
    frame = texts(100, given=pl.Series([given_code] * 100, dtype=pl.Int8))
    with pytest.raises(BadSplit, match=message):
        assign(frame, split, h=[True] * 100)


def test_a_text_given_in_several_splits_stays_in_the_latest(build: Any, tmp_path: Path) -> None:
    rows = [
        ("a", "train"),
        ("a", "test"),
        ("b", "validation"),
        ("b", "train"),
        ("c", "train"),
        ("d", "train"),
    ]
    rows += [("e", "test")]
    (tmp_path / "s.jsonl").write_text(
        "\n".join(json.dumps({"text": t, "split": s, "h": "xy"[i % 2]}) for i, (t, s) in enumerate(rows))
    )
    spec = SourceSpec(path="s.jsonl", split_column="split", heads={"h": "h"})
    built = build({"s": spec}, {"h": _two()})
    found = dict(built.table("dataset").select("text", "split").iter_rows())
    assert found == {"a": "test", "b": "validation", "c": "train", "d": "train", "e": "test"}
    assert built.profile["text_shared_between_splits"] == 2
    assert built.ref.totals["single_split"] == 4
    lines = built.table("findings").filter(pl.col("rule") == "single_split")["line"].to_list()
    assert lines == [1, 2, 3, 4]


def _two() -> Any:
    from model.spec import HeadSpec

    return HeadSpec(kind="multiclass", labels=("x", "y"))
