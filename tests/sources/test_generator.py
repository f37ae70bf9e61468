"""The quickstart's generator: the same bytes for the same seed, and data as hard as its docstring says."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.quickstart import messages
from sources.quickstart.generate import main, write_sources
from sources.quickstart.messages import EMOTIONS, RATINGS, TOPICS, draw_messages, expand, misspell, pick
from sources.quickstart.phrases import phrase_book


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The two sources with 1,500 texts."""
    return write_sources(tmp_path_factory.mktemp("generated"), rows=1500, seed=17)


def reviews_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tickets_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def digest(paths: tuple[Path, Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    command = [
        sys.executable,
        "-m",
        "sources.quickstart.generate",
        str(tmp_path),
        "--rows",
        "1500",
        "--seed",
        "17",
    ]
    # A different hash seed: nothing may depend on the order of a set.
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONHASHSEED": "5", "PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr
    assert digest((tmp_path / "reviews.csv", tmp_path / "tickets.jsonl")) == digest(files)


def test_another_seed_gives_other_texts(tmp_path: Path, files: tuple[Path, Path]) -> None:
    other = write_sources(tmp_path, rows=1500, seed=18)
    shared = {row["text"] for row in reviews_of(other[0])} & {row["text"] for row in reviews_of(files[0])}
    assert len(shared) < 30  # a few short ones may coincide


def test_more_rows_never_change_earlier_messages() -> None:
    assert draw_messages(300, seed=3)[:100] == draw_messages(100, seed=3)


def test_the_sources_label_different_heads_and_hold_some_texts_in_common(files: tuple[Path, Path]) -> None:
    reviews, tickets = reviews_of(files[0]), tickets_of(files[1])
    assert set(reviews[0]) == {"text", "rating", "emotions", "split"}
    assert {row["rating"] for row in reviews} == {str(rating) for rating in RATINGS}
    assert {row["topic"] for row in tickets} == set(TOPICS)
    common = {row["text"] for row in reviews} & {row["text"] for row in tickets}
    assert 0.08 < len(common) / 1500 < 0.16
    splits = {row["text"]: row["split"] for row in reviews}
    assert all(splits[str(row["text"])] == row["split"] for row in tickets if row["text"] in common)


def test_no_emotion_and_nobody_looked_are_different_things(files: tuple[Path, Path]) -> None:
    reviews, tickets = reviews_of(files[0]), tickets_of(files[1])
    assert any(row["emotions"] == "" for row in reviews)
    assert any(row.get("emotions") == [] for row in tickets)
    assert any("emotions" not in row for row in tickets)
    named = {name for row in reviews for name in row["emotions"].split("|") if name}
    assert named == set(EMOTIONS)


def test_a_few_texts_are_blank_and_a_few_answers_differ_between_the_sources(tmp_path: Path) -> None:
    reviews, tickets = write_sources(tmp_path, rows=4000, seed=17)
    rows = reviews_of(reviews)
    assert sum(not row["text"].strip() for row in rows) == 2
    said = {row["text"]: set(filter(None, row["emotions"].split("|"))) for row in rows}
    both = [row for row in tickets_of(tickets) if row["text"] in said and "emotions" in row]
    differing = [row for row in both if set(row["emotions"]) != said[str(row["text"])]]  # type: ignore[call-overload]
    assert 0 < len(differing) < 0.06 * len(both)


def test_texts_are_distinct_beyond_case_and_short_enough_for_a_small_model() -> None:
    drawn = draw_messages(2000, seed=17)
    assert len({message.text.lower() for message in drawn}) == 2000
    words_each = sorted(len(message.text.split()) for message in drawn)
    assert words_each[1000] <= 24
    assert words_each[-20] <= 42


def test_no_head_can_be_answered_by_its_commonest_label() -> None:
    drawn = draw_messages(4000, seed=17)
    for answers, least in ((Counter(m.topic for m in drawn), 0.05), (Counter(m.rating for m in drawn), 0.12)):
        shares = [count / 4000 for count in answers.values()]
        assert max(shares) < 0.3
        assert min(shares) > least
    for emotion in EMOTIONS:
        assert 0.08 < sum(emotion in message.emotions for message in drawn) / 4000 < 0.25
    assert 0.1 < sum(not message.emotions for message in drawn) / 4000 < 0.35


def test_ratings_differ_from_what_was_meant_as_often_as_the_docstring_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = [messages.draw_message(Random(seed)) for seed in range(3000)]
    monkeypatch.setattr(messages, "RATING_NOISE", 0.0)
    meant = [messages.draw_message(Random(seed)) for seed in range(3000)]
    # Both draw the same numbers up to the rating's own noise.
    assert [message.text for message in meant] == [message.text for message in answered]
    moved = Counter(abs(one.rating - other.rating) for one, other in zip(meant, answered, strict=True))
    assert set(moved) == {0, 1}
    assert moved[1] / 3000 == pytest.approx(0.12, abs=0.02)


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_misspelling_keeps_the_number_of_words(seed: int, share: float) -> None:
    text = "the parcel never came and nobody answers please help"
    typed = misspell(Random(seed), text, share)
    assert len(typed.split(" ")) == len(text.split(" "))
    if share == 0:
        assert typed == text


@given(st.integers(0, 2**32))
def test_every_phrase_expands_to_plain_words(seed: int) -> None:
    rng = Random(seed)
    phrases = [
        clause for topic in phrase_book().events.values() for clauses in topic.values() for clause in clauses
    ]
    for cues in (
        phrase_book().cues,
        phrase_book().evaluations,
        phrase_book().shared_cues,
        phrase_book().false_cues,
    ):
        phrases += [clause for clauses in cues.values() for clause in clauses]  # type: ignore[attr-defined]
    for phrase in (*phrases, *phrase_book().openers, *phrase_book().closers, *phrase_book().vague):
        text = expand(rng, phrase)
        assert text
        assert not set(text) & set("[]{}|")
        assert text == " ".join(text.split())


def test_a_pick_follows_its_shares() -> None:
    rng = Random(1)
    counts = Counter(pick(rng, ("a", "b", "c"), (0.5, 0.3, 0.2)) for _ in range(10_000))
    assert counts["a"] / 10_000 == pytest.approx(0.5, abs=0.02)
    assert counts["c"] / 10_000 == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("rows", ["0", "-3", "many"])
def test_a_wrong_number_of_rows_is_refused(
    tmp_path: Path, rows: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), "--rows", rows])
    assert stopped.value.code == 2
    assert "--rows" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_beside_the_two_files(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--rows", "5"]) == 0
    assert main([str(tmp_path), "--rows", "5"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.csv", "tickets.jsonl"]


def test_topics_and_emotions_are_those_of_the_phrases() -> None:
    assert tuple(phrase_book().events) == TOPICS and tuple(phrase_book().cues) == EMOTIONS
