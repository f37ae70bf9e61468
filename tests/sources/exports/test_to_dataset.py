"""From exported files to the dataset: what people answered is what a model learns from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.spec import HeadSpec
from sources.errors import DataError
from sources.formats.read import read_source
from sources.spec import SourceSpec, TargetSpec

ONE, MANY = HeadSpec(kind="multiclass"), HeadSpec(kind="multilabel")


def lines(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_yes_and_no_about_one_text_are_one_row(build: Any, tmp_path: Path) -> None:
    """A rejected label does not apply; one that nobody was asked about is unknown."""
    tasks = [
        {"text": "a", "label": "x", "answer": "accept"},
        {"text": "a", "label": "y", "answer": "reject"},
        {"text": "b", "label": "x", "answer": "reject"},
    ]
    lines(tmp_path / "a.jsonl", tasks)
    source = SourceSpec(path="a.jsonl", format="prodigy", split="train")
    built = build({"it": source}, {"h": MANY}, filler={"h": [["x"], ["y"], ["z"]]})
    assert (built.answers("h")["a"], built.unknown("h")["a"]) == (["x"], ["z"])
    assert (built.answers("h")["b"], built.unknown("h")["b"]) == ([], ["y", "z"])


def test_a_rejected_label_is_no_class(build: Any, tmp_path: Path) -> None:
    tasks = [{"text": "a", "label": "x", "answer": "accept"}, {"text": "b", "label": "y", "answer": "reject"}]
    lines(tmp_path / "a.jsonl", tasks)
    source = SourceSpec(path="a.jsonl", format="prodigy", split="train")
    built = build({"it": source}, {"h": ONE}, filler={"h": ["x", "y"]})
    assert (built.answers("h")["a"], built.answers("h")["b"]) == ("x", None)


def test_a_file_each_of_several_people(build: Any, tmp_path: Path) -> None:
    for who, label in (("kim", "x"), ("lea", "x"), ("mo", "y")):
        lines(tmp_path / "out" / f"{who}.jsonl", [{"id": 1, "text": "a", "label": [label]}])
    source = SourceSpec(path="out", format="doccano", split="train")
    built = build({"it": source}, {"h": ONE}, filler={"h": ["x", "y"]})
    assert built.answers("h")["a"] == "x"
    (profile,) = [one for one in built.profile["sources"] if one["name"] == "it"]
    assert (profile["files"], profile["agreement"]["h"]["people"]) == (3, 3)


def test_what_is_no_label_is_said_in_the_profile(build: Any, tmp_path: Path) -> None:
    tasks = [
        {"text": "a", "label": "x", "answer": "accept"},
        {"text": "b", "label": "x", "answer": "ignore"},
        {"text": "c", "label": "x", "answer": "ignore"},
    ]
    lines(tmp_path / "a.jsonl", tasks)
    source = SourceSpec(path="a.jsonl", format="prodigy", split="train", heads={"h": "label"})
    built = build({"it": source}, {"h": ONE}, filler={"h": ["x", "y"]})
    (profile,) = [one for one in built.profile["sources"] if one["name"] == "it"]
    assert profile["said"] == ["ignored tasks are unlabelled (2)"]


def test_files_of_a_source_may_know_different_labels(build: Any, tmp_path: Path) -> None:
    lines(tmp_path / "out" / "a.jsonl", [{"text": "a", "cats": {"x": 1}}])
    lines(tmp_path / "out" / "b.jsonl", [{"text": "b", "cats": {"y": 1}}])
    source = SourceSpec(path="out", format="spacy", split="train")
    built = build({"it": source}, {"h": MANY}, filler={"h": [["x"], ["y"]]})
    assert (built.answers("h")["a"], built.unknown("h")["a"]) == (["x"], ["y"])
    lines(tmp_path / "out" / "b.jsonl", [{"text": "b", "label": "x", "answer": "accept"}])
    with pytest.raises(DataError, match="without `text` and `cats`"):
        build({"it": source}, {"h": MANY}, filler={"h": [["x"], ["y"]]})


def test_half_a_character_is_refused_with_its_line(build: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "cats": {"x": 1}}\n{"text": "\\ud83d", "cats": {"x": 1}}\n'
    )
    source = SourceSpec(path="a.jsonl", format="spacy", split="train")
    with pytest.raises(DataError, match=r"line 2.*half of a surrogate pair"):
        build({"it": source}, {"h": MANY}, filler={"h": [["x"], ["y"]]})


LOOKS: dict[str, Any] = {
    "label_studio": [{"id": 1, "data": {"text": "a"}, "annotations": []}],
    "prodigy": [{"text": "a", "topic": "x", "accept": ["x"], "answer": "reject", "_task_hash": 1}],
    "argilla": [{"id": "a", "fields": {"text": "a"}, "responses": {}, "topic": "x"}],
    "spacy": [{"text": "a", "cats": {"x": 1}}],
    "json": {"train": [["a", "x"]], "test": [["b", "x"]]},
}


@pytest.mark.parametrize("format", LOOKS)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_tools_file_without_its_format_is_told_which(
    tmp_path: Path, format: str, indent: int | None
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(LOOKS[format], indent=indent))
    with pytest.raises(DataError, match=f"`?format: {format}`"):
        read_source("it", SourceSpec(path="a.json", heads={"h": "topic"}), tmp_path, lambda rows: None)


def test_a_file_whose_ending_says_nothing_is_told_what_it_looks_like(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("__label__x a text\n")
    with pytest.raises(DataError, match="format: fasttext"):
        read_source("it", SourceSpec(path="a.txt", heads={"h": "topic"}), tmp_path, lambda rows: None)


def test_tasks_of_prodigy_are_never_read_as_plain_lines_unasked(tmp_path: Path) -> None:
    tasks = [
        {"text": "a", "label": "x", "answer": answer, "_view_id": "c"} for answer in ("accept", "reject")
    ]
    lines(tmp_path / "a.jsonl", tasks)
    heads = {"h": "label"}
    for format in ("auto", "jsonl"):
        with pytest.raises(DataError, match=r"reject.*answer: answer"):
            read_source(
                "it", SourceSpec(path="a.jsonl", heads=heads, format=format), tmp_path, lambda rows: None
            )
    answered = {"h": TargetSpec(column="label", answer="answer")}
    for meant in ({"heads": answered}, {"heads": heads, "where": "answer = 'accept'"}):
        spec = SourceSpec(path="a.jsonl", **meant)
        assert read_source("it", spec, tmp_path, lambda rows: None).table.frame["label"][0] == "x"


def test_labels_0_and_1_of_one_label_each_are_no_flags(build: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("__label__1 good\n__label__0 bad\n")
    source = SourceSpec(path="a.txt", format="fasttext", split="train")
    built = build({"it": source}, {"h": ONE}, filler={"h": ["1", "0"]})
    assert (built.answers("h")["good"], built.answers("h")["bad"]) == ("1", "0")


def test_a_text_in_two_splits_stays_a_finding(build: Any, tmp_path: Path) -> None:
    for split, label in (("train", "x"), ("test", "y")):
        lines(tmp_path / f"{split}.jsonl", [{"id": 1, "text": "a", "label": [label]}])
    paths: Any = {"train": "train.jsonl", "test": "test.jsonl"}
    built = build({"it": SourceSpec(path=paths, format="doccano")}, {"h": ONE}, filler={"h": ["x", "y"]})
    assert built.profile["text_shared_between_splits"] == 1 and built.profile["conflicts"]["h"] == 1
