"""Folds cover the labelled training rows once, have their share of every label, are rows folders, and their
answers go back to where their rows were."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import BadInput
from model.events import ignore_event
from model.folds import NO_FOLD, deal_folds, fill_in, write_fold
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, SplitName, TrainSpec
from model.train.fit import fit
from model.train.teach import teach


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


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 40), folds=st.integers(1, 4))
def test_filling_in_takes_each_row_from_its_fold_and_others_from_the_baseline(
    seed: int, rows: int, folds: int
) -> None:
    random = np.random.default_rng(seed)
    whole = random.normal(size=(rows, 3)).astype(np.float32)
    fold = random.integers(NO_FOLD, folds, rows)
    parts = [
        (np.flatnonzero(fold == k), random.normal(size=(int((fold == k).sum()), 3)).astype(np.float32))
        for k in range(folds)
    ]
    before = whole.copy()
    filled = fill_in(whole, parts)
    assert (whole == before).all() and filled.dtype == np.float32
    for row in range(rows):
        own = fold[row] != NO_FOLD
        positions, logits = parts[fold[row]] if own else (np.arange(rows), whole)
        assert (filled[row] == logits[positions == row][0]).all()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([([0], 1, 2), ([0], 1, 2)], "each in one fold"),
        ([([1, 1], 2, 2)], "each in one fold"),
        ([([3], 1, 2)], "not rows of 3"),
        ([([-1], 1, 2)], "not rows of 3"),
        ([([0], 1, 4)], r"seen \(1, 4\), expected \(1, 2\)"),
        ([([0, 1], 1, 2)], r"seen \(1, 2\), expected \(2, 2\)"),
    ],
)
def test_folds_of_other_rows_are_refused(parts: list[tuple[list[int], int, int]], message: str) -> None:
    made = [(np.array(p, np.int64), np.zeros((n, labels), np.float32)) for p, n, labels in parts]
    with pytest.raises(BadInput, match=message):
        fill_in(np.zeros((3, 2), np.float32), made)


def test_a_row_is_answered_by_a_model_that_was_fitted_without_it(
    tiny_rows: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    rows = open_rows(tiny_rows)
    head, part = {"topic": rows.heads["topic"]}, rows.split("train")
    recipe = TrainSpec(epochs=1, max_length=16, threads=1, learning_rate=3e-3, head_learning_rate=1e-2)

    def answered(folder: Path, split: SplitName, out: Path) -> np.ndarray[Any, Any]:
        backbone = BackboneSpec(name=str(tiny_backbone))
        job = FitJob(
            heads=head,
            backbone=backbone,
            train=recipe,
            rows=str(folder),
            out=str(out / "fitted"),
            labelled_only=True,
        )
        fit(job, lambda event: None)
        files = teach(
            out / "fitted",
            folder,
            out,
            split=split,
            threads=1,
            precision="float32",
            on_event=ignore_event,
        )
        return np.load(files["topic"])

    baseline = answered(tiny_rows, "train", tmp_path / "whole")
    fold, parts, texts = deal_folds(part, "topic", 2, seed=17), [], list(part.texts())
    for number in range(2):
        folder, own = tmp_path / f"fold-{number}", np.flatnonzero(fold == number)
        write_fold(rows, "topic", fold, number, folder)
        others = np.flatnonzero(fold == 1 - number)
        assert list(open_rows(folder).split("train").texts()) == [texts[row] for row in others]
        parts.append((own, answered(folder, "test", tmp_path / f"model-{number}")))
    taught, labelled = fill_in(baseline, parts), part.labelled("topic")
    assert (taught[~labelled] == baseline[~labelled]).all() and (~labelled).any()
    assert (taught[labelled] != baseline[labelled]).any(axis=1).all()
    for own, logits in parts:
        assert (taught[own] == logits).all()
