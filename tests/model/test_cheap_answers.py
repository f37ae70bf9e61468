"""The cheap references: the best constant answer by hand, and a bag of words that finds what words say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle.card import METRICS
from model.jobs.cheap_answers import cheap_answers
from model.jobs.progress import Silent
from model.measure.bag_of_words import bag_of_words_answers
from model.measure.majority import majority_answer, repeated
from model.measure.metrics import metric, per_label
from model.rows import open_rows
from model.spec import HeadSpec, MetricName
from tests.support.runs import make_run
from tests.support.tiny_rows import TINY_HEADS, tiny_examples, write_rows

CELLS = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]], np.int8)
"""Labels apply to 4, 4 and 1 of 5 rows; the set {0, 1} is the most frequent one."""


@pytest.mark.parametrize(
    ("name", "expected"),
    # micro F1: {0, 1} 2·8/(9+10) = 0.842, all three 2·9/(9+15) = 0.75. macro: any row is worth an answer.
    [
        ("accuracy", [1, 1, 0]),
        ("micro_f1", [1, 1, 0]),
        ("macro_f1", [1, 1, 1]),
        ("subset_accuracy", [1, 1, 0]),
    ],
)
def test_the_constant_set_by_hand(name: MetricName, expected: list[int]) -> None:
    assert majority_answer(name, "multilabel", CELLS, 3).tolist() == expected
    rare = np.where(np.arange(30).reshape(10, 3) == 0, 1, 0).astype(np.int8)
    none = {"accuracy", "subset_accuracy"}
    assert majority_answer(name, "multilabel", rare, 3).any() == (name not in none)


def test_the_constant_label() -> None:
    targets = np.array([2, 1, 2, -1, 0, 1], np.int32)
    assert int(majority_answer("accuracy", "multiclass", targets, 3)) == 1


@given(st.integers(0, 9999), st.sampled_from(METRICS))
@settings(max_examples=60, deadline=None)
def test_no_other_constant_is_better_on_the_training_rows(seed: int, name: MetricName) -> None:
    random = np.random.default_rng(seed)
    targets = (random.random((12, 3)) < random.random(3)).astype(np.int8)
    best = metric(
        name, "multilabel", repeated(majority_answer(name, "multilabel", targets, 3), 12), targets, 3
    )
    for other in range(8):
        bits = np.array([other & 1, other >> 1 & 1, other >> 2], np.int8)
        assert metric(name, "multilabel", repeated(bits, 12), targets, 3) <= best + 1e-12


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    counts = {"train": 400, "validation": 120, "test": 150}
    splits = {split: tiny_examples(n, seed) for seed, (split, n) in enumerate(counts.items())}
    return write_rows(tmp_path / "rows", TINY_HEADS, splits)


def test_words_that_name_the_label_are_found(rows: Path) -> None:
    opened = open_rows(rows)
    for name, least in (("topic", 0.8), ("names", 0.9)):
        head = opened.heads[name]
        answers = bag_of_words_answers(opened, name, head)
        targets = np.asarray(opened.split("test").targets[name])
        assert metric(head.primary_metric, head.kind, answers, targets, len(head.labels)) > least
        assert np.array_equal(answers, bag_of_words_answers(opened, name, head))


def texts_rows(folder: Path, texts: list[tuple[str, Any]], head: dict[str, Any]) -> Path:
    examples = [{"text": text, "h": label} for text, label in texts]
    return write_rows(folder, {"h": head}, {"train": examples, "validation": examples, "test": examples})


def test_languages_without_blanks_are_read_by_characters(tmp_path: Path) -> None:
    marks = {"a": "你好吗", "b": "再见了"}
    random = np.random.default_rng(1)
    noise = list("天地人日月山水火土木金石田中大小上下")
    texts = []
    for at in range(200):
        label = "ab"[at % 2]
        letters = "".join(random.choice(noise, 8))
        texts.append((letters[:4] + marks[label] + letters[4:], label))
    head = {"kind": "multiclass", "labels": ["a", "b"]}
    opened = open_rows(texts_rows(tmp_path, texts, head))
    answers = bag_of_words_answers(opened, "h", opened.heads["h"])
    assert (answers == opened.split("test").targets["h"]).mean() > 0.95


def test_rows_that_teach_nothing_get_the_majority_answer(tmp_path: Path) -> None:
    head = {"kind": "multiclass", "labels": ["a", "b"]}
    opened = open_rows(texts_rows(tmp_path, [(" ", "a"), ("\t", "b"), ("", "b")], head))
    assert bag_of_words_answers(opened, "h", opened.heads["h"]).tolist() == [1, 1, 1]


def test_labels_with_one_answer_only_and_unknown_cells(tmp_path: Path) -> None:
    texts = [
        (word, labels) for word, labels in (("red wine", ["x", "y"]), ("blue sea", ["x"])) for _ in range(30)
    ]
    folder = texts_rows(tmp_path, texts, {"kind": "multilabel", "labels": ["x", "y", "z"]})
    targets = np.load(folder / "train.h.npy")
    targets[:5, 1] = -1
    np.save(folder / "train.h.npy", targets)
    opened = open_rows(folder)
    answers = bag_of_words_answers(opened, "h", opened.heads["h"])
    assert answers[0].tolist() == [1, 1, 0] and answers[-1].tolist() == [1, 0, 0]


def test_the_job_keeps_its_answers_and_makes_them_again_when_they_changed(rows: Path, tmp_path: Path) -> None:
    heads = {name: HeadSpec(kind=h["kind"], labels=tuple(h["labels"])) for name, h in TINY_HEADS.items()}
    run = make_run(tmp_path, rows, heads)
    first = cheap_answers("topic", run, ("majority", "bag_of_words"), Silent())
    made = Path(first.path).stat().st_mtime_ns
    assert cheap_answers("topic", run, ("majority", "bag_of_words"), Silent()) == first
    assert Path(first.path).stat().st_mtime_ns == made
    with np.load(first.path) as arrays:
        assert set(arrays) == {"targets", "decisions:majority", "decisions:bag_of_words"}
    Path(first.path).write_bytes(b"other")
    assert cheap_answers("topic", run, ("majority", "bag_of_words"), Silent()) == first
    only = cheap_answers("topic", run, ("majority",), Silent())
    with np.load(only.path) as arrays:
        assert set(arrays) == {"targets", "decisions:majority"}


def test_other_rows_are_answered_anew(rows: Path, tmp_path: Path) -> None:
    heads = {"topic": HeadSpec(kind="multiclass", labels=tuple(TINY_HEADS["topic"]["labels"]))}
    run = make_run(tmp_path, rows, heads)
    before = cheap_answers("topic", run, ("majority",), Silent())
    targets = np.load(rows / "test.topic.npy")
    targets[targets == 0] = 1
    np.save(rows / "test.topic.npy", targets)
    assert cheap_answers("topic", run, ("majority",), Silent()).path != before.path


def test_figures_of_a_label_without_rows_are_unknown() -> None:
    targets, decisions = np.array([0, 0, 1], np.int32), np.array([0, 2, 0], np.int32)
    found = per_label("multiclass", decisions, targets, 3)
    # Label 1 has a row and is never answered; label 2 is answered and has no row.
    assert found.recall.tolist()[:2] == [0.5, 0.0] and found.f1.tolist()[:2] == [0.5, 0.0]
    assert np.isnan(found.precision).tolist() == [False, True, True]
    assert np.isnan(found.f1).tolist() == [False, False, True] == np.isnan(found.recall).tolist()
    assert metric("macro_f1", "multiclass", decisions, targets, 3) == pytest.approx(0.5 / 3)
