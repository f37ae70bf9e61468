"""The front holds what nothing beats, and the chosen point is on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from expectations.stats.pareto import chosen_point, pareto_front, share_grid


def test_two_heads_get_pi_and_the_rest() -> None:
    assert share_grid(2, 3).tolist() == [[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]]


def test_more_heads_get_pi_in_turn_beside_equal_shares() -> None:
    grid = share_grid(3, 2)
    assert len(grid) == 7
    assert [1 / 3] * 3 in [pytest.approx(row) for row in grid.tolist()]
    assert [0.05, 0.9, 0.05] in [pytest.approx(row) for row in grid.tolist()]
    assert grid.sum(axis=1) == pytest.approx(np.ones(7))


@pytest.mark.parametrize(("heads", "points"), [(1, 5), (2, 1)])
def test_no_trade_off_without_two_heads_and_points(heads: int, points: int) -> None:
    with pytest.raises(ValueError, match=f"seen {heads} and {points}"):
        share_grid(heads, points)


def test_front_by_hand() -> None:
    values = np.array([[0.9, 0.1], [0.8, 0.5], [0.7, 0.4], [0.1, 0.9], [0.8, 0.5], [0.8, 0.4]])
    assert pareto_front(values).tolist() == [True, True, False, True, True, False]
    assert chosen_point(values) == 1
    assert chosen_point(np.array([[0.9, 0.1], [0.5, 0.5]])) == 1  # the same mean: the better worst head


@given(
    arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=st.floats(0, 1, width=16))
)
@settings(max_examples=60, deadline=None)
def test_everything_off_the_front_is_beaten_by_something_on_it(values: np.ndarray) -> None:
    front = pareto_front(values)
    assert front[chosen_point(values)]
    for row in values[~front]:
        assert any((other >= row).all() and (other > row).any() for other in values[front])
    for row in values[front]:
        assert not any((other >= row).all() and (other > row).any() for other in values)
