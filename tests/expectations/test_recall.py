"""Whether a label is found: exact tests against blind answers, with bounds by hand."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.stats.recall import LabelCounts, recall_upper, surely_found, surely_missed


def counts(hits: int, support: int, answered: int, rows: int) -> LabelCounts:
    return LabelCounts(hits=hits, support=support, answered=answered, rows=rows)


def test_found_by_the_chance_of_so_many_hits() -> None:
    # 3 of 3 answers hit 5 rows of 20: C(5,3) / C(20,3) = 10/1140 = 0.0088.
    assert surely_found(counts(3, 5, 3, 20), 0.95) and not surely_found(counts(3, 5, 3, 20), 0.995)
    # 2 of 3: (C(5,2)·15 + 10) / 1140 = 160/1140 = 0.14.
    assert not surely_found(counts(2, 5, 3, 20), 0.95)
    # Both rows of a label of 200, one answered, no false alarm: 2/200.
    assert surely_found(counts(1, 2, 1, 200), 0.95)
    assert not surely_found(counts(0, 45, 0, 1000), 0.95)


def test_missed_without_a_hit_from_11_rows_and_from_5_where_it_is_answered_nowhere() -> None:
    """0.75^11 = 0.042, 0.75^10 = 0.056, of a label that is answered on one wrong row of very many.

    0.5^5 = 0.031, 0.5^4 = 0.063, of one that is answered nowhere."""
    rows = 10**6
    assert surely_missed(counts(0, 11, 1, rows), 0.95) and not surely_missed(counts(0, 10, 1, rows), 0.95)
    assert surely_missed(counts(0, 5, 0, rows), 0.95) and not surely_missed(counts(0, 4, 0, rows), 0.95)
    assert recall_upper(counts(0, 11, 0, rows), 0.95) == pytest.approx(1 - 0.05 ** (1 / 11))
    assert not surely_missed(counts(0, 0, 3, rows), 0.95)


def test_blind_answers_are_missed_and_a_label_on_nearly_all_rows_is_not_known() -> None:
    # A third of all rows answered, a third of the label's rows among them.
    assert not surely_found(counts(100, 300, 300, 900), 0.95)
    assert surely_missed(counts(100, 300, 300, 900), 0.95)
    # Always answered: all its rows are found, as they would be blindly.
    always = counts(196, 196, 200, 200)
    assert not surely_found(always, 0.95) and not surely_missed(always, 0.95)


def test_counts_that_do_not_fit_are_refused() -> None:
    for wrong in ((4, 3, 5, 20), (4, 5, 3, 20), (0, 15, 10, 20)):
        with pytest.raises(ValueError, match="do not fit"):
            counts(*wrong)


@given(st.data())
def test_found_is_fishers_exact_test_and_never_also_missed(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 40))
    support, answered = data.draw(st.integers(1, rows)), data.draw(st.integers(0, rows))
    least, most = max(0, support + answered - rows), min(support, answered)
    one = counts(data.draw(st.integers(least, most)), support, answered, rows)
    ways = sum(
        comb(support, k) * comb(rows - support, answered - k)
        for k in range(one.hits, most + 1)
        if answered - k <= rows - support
    )
    chance = ways / comb(rows, answered)
    if abs(chance - 0.05) > 1e-9:
        assert surely_found(one, 0.95) == (one.hits == rows or (one.hits > 0 and chance < 0.05))
    if one.hits == support:
        assert not surely_missed(one, 0.95)
