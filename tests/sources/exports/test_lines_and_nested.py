"""Lines of labels and texts, and records inside a JSON document."""

from __future__ import annotations

from typing import Any

import pytest

from sources.errors import BadTable, DataError
from sources.spec import SourceSpec, source_problems
from tests.sources.exports.reading import answers


def test_fasttext(read: Any) -> None:
    lines = "__label__x __label__y one  text\n\n__label__x two\nno label\nthree __label__y\r\n"
    raw = read("a.txt", lines, "fasttext")
    assert answers(raw) == [
        ("one  text", ["x", "y"]),
        ("two", ["x"]),
        ("no label", None),
        ("three", ["y"]),
    ]
    assert raw.table.frame["__line"].to_list() == [1, 3, 4, 5]
    assert raw.said == ("lines without a label are unlabelled (1)",)


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ("spam win now\nham see you\n", "no line holds __label__.*label_text"),
        ("__label__x a __label__y b\n", "line 1: a word that begins with __label__ in the middle"),
        ("__label__ a\n", "line 1: __label__ without a label"),
    ],
)
def test_other_lines_are_no_fasttext(read: Any, lines: str, seen: str) -> None:
    with pytest.raises(BadTable, match=seen):
        read("a.txt", lines, "fasttext")


def test_label_text(read: Any) -> None:
    blanks = read("a.txt", "DESC:manner How did it start ?\nHUM:ind Who ran ?\n", "label_text")
    assert answers(blanks) == [("How did it start ?", ["DESC:manner"]), ("Who ran ?", ["HUM:ind"])]
    tabs = read("a.txt", "two words\tsee you\nham\tgo until\n", "label_text")
    assert answers(tabs) == [("see you", ["two words"]), ("go until", ["ham"])]


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ("ham\tsee you\nspam win now\n", "line 2: no tab here, and tabs on 1 other lines"),
        ("ham see you\nspam\n", "line 2: one word alone"),
        ("__label__ham see you\n", "line 1.*format: fasttext"),
        ("".join(f"word{n} and more\n" for n in range(30)), "30 of 30 lines begin with a word"),
    ],
)
def test_lines_that_do_not_begin_with_a_label(read: Any, lines: str, seen: str) -> None:
    with pytest.raises(BadTable, match=seen):
        read("a.txt", lines, "label_text")


CLINC = {
    "train": [["play a song", "music"], ["play another", "music"], ["set a timer", "timer"]],
    "val": [["play it", "music"]],
    "test": [["time it", "timer"]],
}


def test_splits_of_a_document_are_found_by_their_names(read: Any) -> None:
    raw = read("a.json", CLINC, "json")
    assert answers(raw)[0] == ("play a song", ["music"])
    assert raw.table.frame["__given"].to_list() == ["train"] * 3 + ["validation", "test"]


def test_a_way_to_records_by_position(read: Any) -> None:
    raw = read("a.json", CLINC, "json", records="train[]", heads={"topic": "1"}, text="0")
    assert [text for text, _ in answers(raw)] == ["play a song", "play another", "set a timer"]
    assert set(raw.table.frame["__given"]) == {None}
    ways = read("a.json", CLINC, "json", records={"train[]": "train", "test[]": "test"})
    assert ways.table.frame["__given"].to_list() == ["train"] * 3 + ["test"]


def test_a_way_to_records_by_key(read: Any) -> None:
    document = {"rasa_nlu_data": {"common_examples": [{"text": "hi", "intent": "greet", "entities": [{}]}]}}
    assert answers(read("a.json", document, "json")) == [("hi", ["greet"])]
    records = [
        {"text": "hi", "lang": "en", "tags": ["a", "b"], "n": 1},
        {"text": "ho", "lang": "de", "n": 5.0},
    ]
    raw = read("a.json", records, "json", heads={"topic": "tags"}, where="lang = 'en'", keep=("n",))
    assert answers(raw) == [("hi", ["a", "b"])] and raw.table.frame["n"].to_list() == ["1"]
    assert answers(read("a.json", records, "json", heads={"topic": "n"})) == [("hi", ["1"]), ("ho", ["5.0"])]


@pytest.mark.parametrize(
    ("document", "more", "seen"),
    [
        (CLINC | {"oos_train": [["what", "oos"]]}, {}, "a split named 'oos_train'.*split_map"),
        (CLINC, {"records": "trian[]"}, "there is no 'trian'; expected one of 'train', 'val', 'test'"),
        ({"a": {"x": [[1]]}, "b": [[1]]}, {}, r"several lists may hold the records: a\.x\[\] \(1\), b\[\]"),
        ({"a": 1}, {}, "no list of records"),
        ([["a", "x", "y"]], {}, "records of 3 items, and no 'text'"),
        ([["x", "one"], ["x", "two"]], {}, "the second differs more often"),
        ([["a", "x"], ["b"]], {}, "1 items, and the first 2"),
        ([["a", "x"], {"text": "b"}], {}, "neither all lists nor all objects"),
    ],
)
def test_documents_that_may_mean_several_things(read: Any, document: Any, more: Any, seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        read("a.json", document, "json", **more)


def test_what_a_declaration_of_an_export_needs() -> None:
    def problems(**fields: Any) -> list[str]:
        return list(source_problems(SourceSpec(**fields), {"topic"}))

    assert problems(path="a", format="doccano") == []
    assert problems(path="a", format="doccano", heads={"topic": "label"}) == []
    assert "write the dataset with save_to_disk" in problems(hub="a", format="argilla")[0]
    assert "only a hub dataset" in problems(path="a", streaming=True, heads={"topic": "x"})[0]
    assert "labels no head" in problems(path="a")[0]
    assert "no way to records" in problems(path="a", records="train[]", heads={"topic": "x"})[0]
