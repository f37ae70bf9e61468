"""Figures of the profile: golden values by hand, and what the order of rows must not change."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.spec import HeadSpec
from sources.profile.figures import label_figures, profile_heads


def test_figures_by_hand() -> None:
    # Shares 1/2, 1/4, 1/4 of 8 labels that apply: 1.5 bits; 4 labels could hold 2 bits.
    found = label_figures({"a": 4, "b": 2, "c": 2, "d": 0}, labelled=5, rows=10)
    assert found == {
        "coverage": 0.5,
        "cardinality": 1.6,
        "density": 0.4,
        "entropy": pytest.approx(1.5),
        "normalised_entropy": pytest.approx(0.75),
        "imbalance": 2.0,
        "missing": ["d"],
    }


def test_nothing_to_divide_by_is_none() -> None:
    found = label_figures({"a": 0, "b": 0}, labelled=0, rows=0)
    assert found.pop("missing") == ["a", "b"]
    assert set(found.values()) == {None}


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20))
def test_entropy_is_largest_for_equal_shares(counts: list[int]) -> None:
    found = label_figures({str(at): count for at, count in enumerate(counts)}, sum(counts), sum(counts))
    even = label_figures({str(at): 7 for at in range(len(counts))}, 7 * len(counts), 7 * len(counts))
    assert 0 <= found["normalised_entropy"] <= 1 + 1e-9
    assert even["normalised_entropy"] == pytest.approx(1)
    assert even["imbalance"] == 1 <= found["imbalance"] == max(counts) / min(counts)
    assert found["entropy"] <= math.log2(len(counts)) + 1e-9


@given(st.lists(st.lists(st.sampled_from("xyz"), unique=True), min_size=1, max_size=30), st.randoms())
def test_the_order_of_rows_changes_no_figure(cells: list[list[str]], rng: Any) -> None:
    heads = {"tags": HeadSpec(kind="multilabel", labels=("x", "y", "z"))}
    unknown: list[list[str]] = [[]] * len(cells)
    rows = pl.DataFrame(
        {"split": ["train"] * len(cells), "head:tags": cells, "unknown:tags": unknown},
        schema_overrides={"head:tags": pl.List(pl.String), "unknown:tags": pl.List(pl.String)},
    )
    order = list(range(rows.height))
    rng.shuffle(order)
    assert profile_heads(rows[order], heads) == profile_heads(rows, heads)
