"""Rows are drawn for each head that needs its own, by a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.rows import open_rows
from tests.support.sampled_rows import heads_that_draw, sampled_rows, share_budget
from tests.support.tiny_rows import write_rows

HEADS = {
    "topic": {"kind": "multiclass", "labels": ["weather", "food", "animal"]},
    "names": {"kind": "multilabel", "labels": ["sun", "tea"]},
    "drink": {"kind": "multiclass", "labels": ["no", "yes"]},
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two corpora: one labels topic and, of three rows in four, drink; the other names."""

    def corpus(count: int) -> list[dict[str, object]]:
        made: list[dict[str, object]] = []
        for number in range(count):
            row: dict[str, object] = {"text": f"text {number}"}
            if number >= count * 2 // 3:
                row["names"] = ["sun"][: number % 2]
            else:
                row["topic"] = ("weather", "food", "animal")[number % 3]
                if number % 4:
                    row["drink"] = ("no", "yes")[number % 2]
            made.append(row)
        return made

    splits = {"train": corpus(60), "validation": corpus(30), "test": corpus(40)}
    return write_rows(tmp_path / "rows", HEADS, splits)


def test_heads_of_shared_texts_draw_once(rows: Path) -> None:
    assert heads_that_draw(open_rows(rows)) == ["topic", "names"], "drink labels topic's texts"


def test_a_share_keeps_the_proportions_of_the_heads(rows: Path) -> None:
    # two thirds of 60 and of 30 rows are topic's, a third names': a quarter of 40, 20 (rounded up), of 20, 10
    assert share_budget(open_rows(rows), 0.25, test_rows=7) == {
        "train": {"topic": 10, "names": 5},
        "validation": {"topic": 5, "names": 3},
        "test": {"topic": 7, "names": 7},
    }


def test_a_seed_draws_at_most_so_many_rows_of_each_head(rows: Path, tmp_path: Path) -> None:
    budget = share_budget(open_rows(rows), 0.25, test_rows=7)
    folders = [
        sampled_rows(rows, budget, seed=seed, out=tmp_path / name)
        for seed, name in ((1, "one"), (1, "again"), (2, "two"))
    ]
    one, again, two = (list(open_rows(folder).split("train").texts()) for folder in folders)
    assert one == again != two and len(one) == 15
    part = open_rows(folders[0]).split("train")
    assert part.labelled("topic").sum() == 10 and part.labelled("names").sum() == 5
    for text, topic in zip(one, np.asarray(part.targets["topic"]).tolist(), strict=True):
        assert topic in (-1, int(text.split()[1]) % 3)
