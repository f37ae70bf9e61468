"""Almost equal texts across splits."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from model.spec import HeadSpec
from sources.merge.near_duplicates import find_near_duplicates
from sources.spec import SourceSpec, SplitSpec

WORDS = [f"word{i}" for i in range(400)]


def sentence(seed: int, words: int = 30) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def frame(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text_id": [f"{i:032}" for i in range(len(rows))],
            "text": [text for text, _ in rows],
            "split": [split for _, split in rows],
        },
        schema={"text_id": pl.String, "text": pl.String, "split": pl.String},
    )


def jaccard(one: str, other: str) -> float:
    a, b = ({t[i : i + 5] for i in range(max(len(t) - 4, 1))} for t in (one, other))
    return len(a & b) / len(a | b)


def test_the_earlier_split_is_named() -> None:
    a, b = sentence(1), sentence(1) + " more"
    found = find_near_duplicates(frame((a, "test"), (b, "train"), (a + " x", "validation")), 0.8)
    assert found.select("split", "other_split").rows() == [("train", "test"), ("validation", "test")]


def test_similarity_is_jaccards() -> None:
    a, b = sentence(1), sentence(1).replace("word", "work", 3)
    found = find_near_duplicates(frame((a, "train"), (b, "test")), 0.5)
    assert found["similarity"].to_list() == pytest.approx([jaccard(a, b)])


def test_case_and_punctuation_do_not_matter() -> None:
    found = find_near_duplicates(frame(("Where is it?!", "train"), ("where  is it", "test")), 0.99)
    assert found["similarity"].to_list() == [1.0]


def test_short_and_empty_texts() -> None:
    rows = [
        ("ab", "train"),
        ("AB!", "test"),
        ("cd", "test"),
        ("!!!", "train"),
        ("???", "test"),
        ("é", "train"),
    ]
    assert find_near_duplicates(frame(*rows), 0.9)["text_id"].to_list() == [f"{0:032}"]


def test_a_text_of_the_same_split_is_none() -> None:
    assert find_near_duplicates(frame(("a b c d e", "train"), ("a b c d e!", "train")), 0.5).height == 0


def test_no_texts() -> None:
    assert find_near_duplicates(frame(), 0.9).height == 0


def test_nearly_all_pairs_are_found_and_no_others() -> None:
    rng = random.Random(5)
    rows, expected = [], 0
    for seed in range(300):
        text = sentence(seed)
        changed = text.split(" ")
        changed[rng.randrange(len(changed))] = "changed"
        other = " ".join(changed)
        rows += [(text, "train"), (other, "test")]
        expected += jaccard(text, other) >= 0.9
    found = find_near_duplicates(frame(*rows), 0.9)
    assert expected > 30
    assert 0.97 * expected <= found.height <= expected


def test_the_order_of_texts_changes_nothing() -> None:
    rows = [
        (sentence(i % 40) + " more" * (i // 40), ("train", "validation", "test")[i % 3]) for i in range(300)
    ]
    texts = frame(*rows)
    found = find_near_duplicates(texts, 0.8)
    assert found.height > 20
    for seed in (1, 2):
        assert find_near_duplicates(texts.sample(fraction=1, shuffle=True, seed=seed), 0.8).equals(found)


def test_letters_beyond_ascii_count_like_others() -> None:
    one, other = "Добрый день, где мой заказ?", "добрый день где мой заказ"
    unlike = "добрый день где моя посылка"
    found = find_near_duplicates(frame((one, "train"), (other, "test"), (unlike, "test")), 0.9)
    assert found.select("text_id", "other_id", "similarity").rows() == [(f"{0:032}", f"{1:032}", 1.0)]


def test_cost_stays_linear_when_thousands_are_alike() -> None:
    rows = [
        (f"the same message again and again number {i % 10}", "train" if i % 2 else "test")
        for i in range(20_000)
    ]
    assert find_near_duplicates(frame(*rows), 0.8).height == 10_000


def test_remove_and_report(build: Any, tmp_path: Any) -> None:
    texts = [sentence(i) for i in range(6)]
    rows = [(t, "train") for t in texts] + [
        (texts[0] + " z", "test"),
        ("other one", "test"),
        ("third", "validation"),
    ]
    (tmp_path / "s.csv").write_text(
        "text,split,h\n" + "".join(f"{t},{s},{'xy'[i % 2]}\n" for i, (t, s) in enumerate(rows))
    )
    sources = {"s": SourceSpec(path="s.csv", split_column="split", heads={"h": "h"})}
    heads = {"h": HeadSpec(kind="multiclass")}
    report = build(sources, heads, SplitSpec(near_duplicates="report"))
    assert report.profile["near_duplicates"] == 1
    assert report.ref.rows["train"] == 6
    finding = report.table("findings").filter(pl.col("rule") == "near_duplicates").to_dicts()
    assert [(f["source"], f["line"]) for f in finding] == [("s", 2)]
    assert "like s line 8 (test)" in finding[0]["value"]
    removed = build(sources, heads, SplitSpec(near_duplicates="remove"))
    assert removed.ref.rows == {"train": 5, "validation": 1, "test": 2}
    off = build(sources, heads, SplitSpec(near_duplicates="off"))
    assert off.profile["near_duplicates"] is None
    assert "near_duplicates" not in off.ref.totals
