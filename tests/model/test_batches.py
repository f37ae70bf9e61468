"""Batches cover every row once, respect both budgets and waste little."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle.batches import padding_share, plan_batches, sorted_batches
from model.train.tokens import Tokens

LENGTHS = st.lists(st.integers(2, 90), min_size=1, max_size=300).map(lambda x: np.array(x, np.int64))


@given(lengths=LENGTHS, rows=st.integers(1, 40), tokens=st.integers(16, 600), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_each_row_once_within_both_budgets(lengths: np.ndarray, rows: int, tokens: int, seed: int) -> None:
    plans = [
        plan_batches(lengths, batch_rows=rows, batch_tokens=tokens, seed=seed, epoch=0),
        sorted_batches(lengths, batch_rows=rows, batch_tokens=tokens),
    ]
    for batches in plans:
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert 1 <= len(batch) <= rows
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens
        assert 0.0 <= padding_share(batches, lengths) < 1.0


def test_same_seed_same_plan_and_epochs_differ() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    first, again, other = (
        plan_batches(lengths, batch_rows=16, batch_tokens=4096, seed=1, epoch=e) for e in (0, 0, 1)
    )
    assert [b.tolist() for b in first] == [b.tolist() for b in again]
    assert [b.tolist() for b in first] != [b.tolist() for b in other]


def test_padding_stays_under_five_percent_for_message_like_lengths() -> None:
    lengths = np.random.default_rng(0).lognormal(3.0, 0.5, 5000).astype(np.int64).clip(4, 128)
    batches = plan_batches(lengths, batch_rows=32, batch_tokens=4096, seed=1, epoch=0)
    assert padding_share(batches, lengths) < 0.05


def test_short_and_long_batches_are_mixed_over_the_epoch() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 3200)
    batches = plan_batches(lengths, batch_rows=32, batch_tokens=4096, seed=1, epoch=0)
    means = np.array([lengths[b].mean() for b in batches])
    assert abs(means[: len(means) // 2].mean() - means[len(means) // 2 :].mean()) < 10


def test_padded_rows_by_hand() -> None:
    tokens = Tokens(np.array([5, 6, 7, 8, 9], np.int32), np.array([0, 2, 2 + 3]))
    ids, mask = tokens.padded(np.array([1, 0]), pad_id=1)
    assert ids.tolist() == [[7, 8, 9], [5, 6, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]
