"""Folds cover the labelled training rows once, have their share of every label, and are rows folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from model.errors import BadInput
from model.folds import NO_FOLD, deal_folds, write_fold
from model.rows import open_rows


@pytest.mark.parametrize("head", ["topic", "names"])
def test_each_labelled_row_is_in_one_fold_and_every_label_in_each(tiny_rows: Path, head: str) -> None:
    part = open_rows(tiny_rows).split("train")
    fold = deal_folds(part, head, 3, seed=17)
    assert ((fold == NO_FOLD) == ~part.labelled(head)).all()
    sizes = Counter(fold[fold != NO_FOLD].tolist())
    assert set(sizes) == {0, 1, 2} and max(sizes.values()) - min(sizes.values()) <= 1
    if head == "topic":
        targets = np.asarray(part.targets[head])
        shares = [np.bincount(targets[fold == k], minlength=3) for k in range(3)]
        assert np.ptp(shares, axis=0).max() <= 1
    assert (deal_folds(part, head, 3, seed=17) == fold).all()
    assert (deal_folds(part, head, 3, seed=18) != fold).any()


@pytest.mark.parametrize("head", ["topic", "names"])
def test_a_fold_is_a_rows_folder_that_answers_the_rows_it_does_not_train_on(
    tiny_rows: Path, tmp_path: Path, head: str
) -> None:
    rows = open_rows(tiny_rows)
    whole = rows.split("train")
    texts, targets = list(whole.texts()), np.asarray(whole.targets[head])
    fold = deal_folds(whole, head, 2, seed=17)
    write_fold(rows, head, fold, 1, tmp_path / "fold")
    made = open_rows(tmp_path / "fold", {head: rows.heads[head]})
    for split, chosen in (("train", fold == 0), ("test", fold == 1)):
        part = made.split(split)  # type: ignore[arg-type]
        assert list(part.texts()) == [texts[i] for i in np.flatnonzero(chosen)]
        assert (np.asarray(part.targets[head]) == targets[chosen]).all()
    assert list(made.split("validation").texts()) == list(rows.split("validation").texts())
    assert made.texts_sha256["train"] != made.texts_sha256["test"]


def test_fewer_labelled_rows_than_folds_are_refused(tiny_rows: Path) -> None:
    part = open_rows(tiny_rows).split("train")
    with pytest.raises(BadInput, match="rows are labelled for 'topic', fewer than folds"):
        deal_folds(part, "topic", 200, seed=1)
