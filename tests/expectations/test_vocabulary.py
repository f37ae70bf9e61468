"""Words that the champion has not seen: golden values by hand, noise, and what is not compared."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.data.drift import Drift, Levels
from expectations.data.suite import build_suite
from expectations.data.vocabulary import (
    compare_words,
    known_words,
    load_words,
    unseen_share,
)
from expectations.spec import DataRules
from expectations.stats.divergence import share_noise
from model.spec import SPLITS, HeadSpec

HEADS = {"topic": HeadSpec(kind="multiclass", labels=("a", "b"))}


def profile(known: list[int], unseen: float = 0.1, texts: int = 5000, tokens: int = 50_000) -> dict[str, Any]:
    """A profile whose training texts hold the words `known`."""
    return {
        "vocabulary": {
            "words": base64.b64encode(np.array(sorted(known), dtype="<u4").tobytes()).decode(),
            "texts": dict.fromkeys(SPLITS, texts),
            "tokens": dict.fromkeys(SPLITS, tokens),
            "unseen": {"train": 0.0, "validation": unseen, "test": unseen},
        }
    }


def words(counts: dict[int, int]) -> Any:
    pair = np.array([*counts], dtype=np.uint32), np.array([*counts.values()], dtype=np.int64)
    return dict.fromkeys(SPLITS, pair)


def compared(
    counts: dict[int, int], then: dict[str, Any] | None, levels: Levels | None = None, **size: int
) -> Drift:
    found = compare_words(words(counts), profile([], **size), then, levels or Levels())
    assert {one.split for one in found} == set(SPLITS)
    return found[0]


def test_unseen_share_by_hand() -> None:
    # 2 + 3 of 10 tokens are of words that are not known.
    assert unseen_share([7, 8, 9], [5, 2, 3], [7, 100]) == 0.5
    assert unseen_share([7], [5], []) == 1.0


def test_noise_by_hand() -> None:
    # Pooled share 0.15 of 400 and 400 texts: 2.326 √(0.15 · 0.85 · (1/400 + 1/400)).
    expected = 2.3263478740408408 * math.sqrt(0.15 * 0.85 / 200)
    assert share_noise(0.2, 0.1, 400, 400) == pytest.approx(expected)
    assert expected == pytest.approx(0.0587, abs=5e-5)


@pytest.mark.parametrize(
    ("strange", "level"), [(10, "ok"), (14, "ok"), (16, "warn"), (24, "warn"), (26, "fail"), (5, "ok")]
)
def test_levels_are_on_the_excess(strange: int, level: str) -> None:
    # The champion's validation texts held 10% unknown words; 5 points more warn, 15 more fail.
    drift = compared({1: 100 - strange, 2: strange}, profile([1], unseen=0.1))
    assert drift.excess == pytest.approx(strange / 100 - 0.1)
    assert drift.level(Levels()) == level
    (moved,) = drift.moved
    assert moved[1:] == (0.1, pytest.approx(strange / 100))


def test_an_excess_within_the_noise_is_ok() -> None:
    few = compared({1: 74, 2: 26}, profile([1], texts=20), texts=20)
    assert few.noise_unseen is not None and few.noise_unseen > 0.16
    assert few.level(Levels()) == "ok"


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 1000), min_size=1), st.data())
def test_the_same_data_has_no_excess_in_any_order(counts: dict[int, int], data: Any) -> None:
    known = data.draw(st.lists(st.sampled_from([*counts]), unique=True))
    share = unseen_share([*counts], [*counts.values()], known)
    mixed = data.draw(st.permutations([*counts]))
    drift = compared({word: counts[word] for word in mixed}, profile(known, unseen=share))
    assert drift.excess == pytest.approx(0, abs=1e-12)
    assert 0 <= share <= 1


@pytest.mark.parametrize(
    ("champion", "state"),
    [
        (None, "nothing to compare with"),
        ({"heads": {}}, "the champion's words are not known"),
        (profile([1], tokens=999), "too few words"),
    ],
)
def test_what_cannot_be_compared_says_so(champion: dict[str, Any] | None, state: str) -> None:
    drift = compared({1: 10}, champion)
    assert (drift.state, drift.excess, drift.level(Levels())) == (state, None, None)
    split = {"labelled": 5000, "counts": {"a": 2500, "b": 2500}}
    same = Drift(subject="topic", head="topic", split="train", state="compared", rows=5000, rows_then=5000)
    assert split and same
    for check in build_suite(DataRules(), HEADS, {}, drift=[drift]):
        if check.rule == "drift":
            assert check.skipped is not None and state.split()[0] in check.skipped


def test_test_texts_stand_in_where_validation_holds_too_few_words() -> None:
    then = profile([1], unseen=0.1)
    then["vocabulary"]["tokens"]["validation"] = 10
    then["vocabulary"]["unseen"] |= {"validation": 0.9, "test": 0.2}
    assert compared({1: 80, 2: 20}, then).unseen_then == 0.2


def test_a_dataset_without_counted_words(tmp_path: Path) -> None:
    assert load_words(tmp_path) is None
    drift, *_ = compare_words(None, {}, profile([1]), Levels())
    assert drift.state == "words were not counted"


def test_words_are_read_by_split(tmp_path: Path) -> None:
    table = {"split": ["train", "test", "train"], "word": [3, 4, 5], "tokens": [1, 2, 3]}
    pq.write_table(pa.table(table), tmp_path / "words.parquet")
    found = load_words(tmp_path)
    assert found is not None
    assert [part.tolist() for part in found["train"]] == [[3, 5], [1, 3]]
    assert [part.tolist() for part in found["test"]] == [[4], [2]]


@pytest.mark.parametrize("broken", ["not base64!", "AAAA", None])
def test_a_broken_vocabulary_is_an_error(broken: Any) -> None:
    with pytest.raises(ValueError):
        known_words({"vocabulary": {"words": broken}})
