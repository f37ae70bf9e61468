"""What rare labels can hide: exact where a row stands out, nothing where it does not, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from expectations.stats.bootstrap import Comparison, Draws, compare_cells
from expectations.stats.rare_labels import LabelCounts, count_labels, reach, rows_to_show, telling_rows

Cells = NDArray[np.int8]


def sound(*rows: int) -> LabelCounts:
    """Labels of so many rows, all found by both models, nothing claimed wrongly."""
    k, none = np.array(rows, dtype=np.float64), np.zeros(len(rows))
    return LabelCounts(
        rows=k, effective=k, hits=(k, k), false=(none, none), alone=(none, none), alone_squared=(none, none)
    )


def test_a_label_of_two_rows_by_hand() -> None:
    """Of 2 rows none was lost: at most a share 1 - 0.05^(1/2) = 0.77639 is. F1 falls from 1 to
    2·0.22361 / 1.22361 = 0.36549, its part of two labels is 0.63451 / 2 = 0.31725. The other hides less."""
    found = reach(sound(2, 1000), 0.0, 0.0, 0.95, telling=100)
    # Both together: 1 - 0.05^(1/1002) of the rows of each, much less than the one alone.
    assert (found.half, found.labels) == (pytest.approx(0.317255, abs=1e-5), (0,))


def test_equally_rare_labels_hide_a_loss_together() -> None:
    """Each of three labels of 2 rows alone hides 0.63451 / 3; of all 6 rows 1 - 0.05^(1/6) = 0.39304 are
    lost, F1 of each falls to 2·0.60696 / 1.60696 = 0.75542, and the mean by as much as each: 0.24458."""
    found = reach(sound(2, 2, 2), 0.0, 0.0, 0.95, telling=100)
    assert found.half == pytest.approx(0.244584, abs=1e-5)
    assert found.labels == (0, 1, 2)


def test_a_label_without_rows_hides_its_whole_part() -> None:
    found = reach(sound(0, 5000, 5000, 5000), 0.01, 0.006, 0.95, telling=1000)
    assert found.half == pytest.approx(0.01 + 1 / 4, abs=1e-4) and found.labels == (0,)
    absent = reach(sound(0, 5000, 5000, 5000), 0.01, 0.006, 0.95, telling=1000, absent_hide=False)
    assert absent.half == pytest.approx(0.01, abs=1e-4) and absent.labels == ()


def test_labels_with_enough_rows_change_nothing() -> None:
    """One row of 300 moves macro-F1 of 8 labels by 0.25 / 300 · … < 0.001: far less than the rest's 0.004."""
    assert reach(sound(*[300] * 8), 0.0066, 0.004, 0.95, telling=200).half == 0.0066


def test_rows_that_show_a_loss_by_hand() -> None:
    """F1 0.8 at hits 0.8 and 0.2 false claims; 0.12 less is 0.68 = 2h / (1.2 + h): h = 0.68·1.2 / 1.32 =
    0.61818. A share 0.18182 lost: ln 0.05 / ln 0.81818 = 14.93."""
    assert rows_to_show(0.12, hits=0.8, false=0.2, confidence=0.95) == 15
    assert rows_to_show(2.0, hits=1.0, false=0.0, confidence=0.95) == 1


def test_telling_rows() -> None:
    assert telling_rows(np.ones(7)) == pytest.approx(7)
    assert telling_rows(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert telling_rows(np.zeros(3)) == 1.0


def test_groups_count_as_fewer_rows() -> None:
    """Four true rows, three of one group: 16 / (9 + 1) = 1.6 rows drawn alone."""
    targets = np.array([[1], [1], [1], [1], [0]], dtype=np.int8)
    lost = np.array([[0], [0], [1], [1], [1]], dtype=np.int8)
    counts = count_labels(targets, lost, targets, np.array([0, 0, 0, 1, 1]))
    assert counts.effective.tolist() == pytest.approx([1.6])
    assert counts.alone[1].tolist() == [2.0] and counts.alone_squared[1].tolist() == [4.0]
    assert counts.false[0].tolist() == [1.0] and counts.false[1].tolist() == [0.0]


def compared(targets: Cells, one: Cells, other: Cells, groups: NDArray[np.int64] | None) -> Comparison:
    return compare_cells(
        targets,
        one,
        other,
        average="macro",
        confidence=0.95,
        draws=Draws(resamples=300, seed=5, groups=groups),
    )


def test_rows_repeated_in_groups_say_what_they_say_once() -> None:
    rng = np.random.default_rng(2)
    targets = (rng.random((200, 3)) < [0.03, 0.2, 0.4]).astype(np.int8)
    one, other = (
        np.where(rng.random(targets.shape) < 0.1, 1 - targets, targets).astype(np.int8) for _ in range(2)
    )
    once = compared(targets, one, other, None)
    five = compared(*(np.repeat(cells, 5, axis=0) for cells in (targets, one, other)), np.arange(1000) // 5)
    assert five.difference.value == pytest.approx(once.difference.value)
    for bound in ("lower", "upper", "standard_error"):
        assert getattr(five.difference, bound) == pytest.approx(getattr(once.difference, bound), abs=1e-6)
    alone = compared(*(np.repeat(cells, 5, axis=0) for cells in (targets, one, other)), None)
    assert alone.difference.lower > once.difference.lower  # what taking them for strangers would claim


def test_the_order_of_the_models_mirrors_the_bounds() -> None:
    rng = np.random.default_rng(3)
    targets = (rng.random((300, 3)) < [0.01, 0.2, 0.4]).astype(np.int8)
    one, other = (
        np.where(rng.random(targets.shape) < 0.1, 1 - targets, targets).astype(np.int8) for _ in range(2)
    )
    there, back = (
        compared(targets, one, other, None).difference,
        compared(targets, other, one, None).difference,
    )
    error = there.standard_error
    assert there.lower == pytest.approx(-back.upper, abs=0.3 * error)
    assert math.isfinite(there.lower)
