"""Words of texts as numbers: golden values by hand, and what must not matter."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sources.profile.vocabulary
from sources.profile.vocabulary import count_words, hash_words, profile_vocabulary


def dataset(**texts: list[str]) -> pl.DataFrame:
    rows = [
        {"text_id": hashlib.sha256(text.encode()).hexdigest(), "text": text, "split": split}
        for split, found in texts.items()
        for text in found
    ]
    return pl.DataFrame(rows, schema={"text_id": pl.String, "text": pl.String, "split": pl.String})


def profiled(rows: pl.DataFrame) -> dict[str, Any]:
    sizes = {split: rows.filter(pl.col("split") == split).height for split in ("train", "validation", "test")}
    return profile_vocabulary(count_words(rows), sizes)


def known(profile: dict[str, Any]) -> set[int]:
    return set(np.frombuffer(base64.b64decode(profile["words"]), dtype="<u4").tolist())


def test_words_by_hand() -> None:
    counts = count_words(dataset(train=["The kettle, the KETTLE-lid: 42 x2!", "Café don't"]))
    expected = {"the": 2, "kettle": 2, "lid": 1, "x2": 1, "café": 1, "don": 1, "t": 1}
    numbers = dict(zip(hash_words(expected).tolist(), expected.values(), strict=True))
    assert dict(counts.select("word", "tokens").iter_rows()) == numbers


def test_a_hash_is_the_same_for_ever() -> None:
    assert hash_words(["kettle", "日"]).tolist() == [
        int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
        for word in ("kettle", "日")
    ]


def test_scripts_without_spaces_are_counted_by_letter() -> None:
    counts = count_words(dataset(train=["日本語 text日本"]))
    assert counts["tokens"].sum() == 6
    assert set(counts["word"]) == set(hash_words(["日", "本", "語", "text"]).tolist())


def test_unseen_share_by_hand() -> None:
    profile = profiled(dataset(train=["one two", "one three"], validation=["one two new new"], test=["7"]))
    assert profile["texts"] == {"train": 2, "validation": 1, "test": 1}
    assert known(profile) == set(hash_words(["one", "two", "three"]).tolist())
    assert profile["tokens"] == {"train": 4, "validation": 4, "test": 0}
    assert profile["unseen"] == {"train": 0.0, "validation": 0.5, "test": None}


def test_only_the_commonest_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.profile.vocabulary, "KEPT_WORDS", 1)
    profile = profiled(dataset(train=["a b b", "b c a"]))
    assert known(profile) == set(hash_words(["b"]).tolist())
    assert profile["unseen"]["train"] == 0.5


def test_no_word_can_be_read() -> None:
    profile = profiled(dataset(train=["confidential"]))
    assert "confidential" not in repr(profile)


def test_of_many_texts_a_sample_is_counted_that_the_order_does_not_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources.profile.vocabulary, "MOST_TEXTS", 5)
    rows = dataset(train=[f"word{at}" for at in range(50)])
    counts = count_words(rows)
    assert counts["tokens"].sum() == 5
    assert counts.equals(count_words(rows.sort("text")))


@given(st.lists(st.text(max_size=30), max_size=15), st.randoms())
def test_any_texts_in_any_order(texts: list[str], rng: Any) -> None:
    rows = dataset(train=texts, validation=texts)
    order = list(range(rows.height))
    rng.shuffle(order)
    counts = count_words(rows)
    assert counts.equals(count_words(rows[order]))
    assert profiled(rows)["unseen"]["validation"] in (0.0, None)
