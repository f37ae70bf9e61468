"""One cell, every encoding, worked by hand; and the difference between missing and empty."""

from __future__ import annotations

from typing import Any

import pytest

from sources.labels.cells import CellError, CellReader, truth
from sources.spec import TargetSpec


def reader(
    *, is_list: bool = False, multilabel: bool = True, lines: tuple[str, ...] = (), **spec: Any
) -> CellReader:
    return CellReader(TargetSpec(column="c", **spec), is_list, multilabel, lines)


@pytest.mark.parametrize(
    ("spec", "cell", "expected"),
    [
        ({}, "a", ("a",)),
        ({}, "NA", ("NA",)),
        ({}, "None", ("None",)),
        ({}, "null", ("null",)),
        ({}, "01", ("01",)),
        ({}, "1", ("1",)),
        ({}, "1.0", ("1.0",)),
        ({}, " a", ("a",)),
        ({"encoding": "separator"}, "a , b", ("a", "b")),
        ({"encoding": "separator"}, "b,a,b", ("a", "b")),
        ({"encoding": "separator", "separator": "; "}, "b; a", ("a", "b")),
        ({"encoding": "separator", "drop": ("",)}, "a,b,", ("a", "b")),
        ({"encoding": "letters"}, "LIB", ("B", "I", "L")),
        ({"encoding": "letters"}, "e\u0301a", ("a", "é")),
        ({"encoding": "list"}, '["b", "a"]', ("a", "b")),
        ({"encoding": "list"}, "[]", ()),
        ({"encoding": "list"}, "[1, 1.0]", ("1", "1.0")),
        ({"map": {"x": "a"}}, "x", ("a",)),
        ({"map": {"e\u0301": "a"}}, "\u00e9", ("a",)),
        ({"encoding": "letters", "map": {"B": "basic"}}, "BI", ("I", "basic")),
        ({"encoding": "separator", "drop": ("a",)}, "a,b", ("b",)),
        ({"encoding": "separator", "drop": ("a",)}, "a", ()),
        ({"map": {"x": "a"}, "drop": ("a",)}, "x", ()),
        ({"lines": ("joy", "anger"), "encoding": "separator"}, "1,0", ("anger", "joy")),
        ({"lines": ("joy", "anger"), "map": {"joy": "happy"}}, "0", ("happy",)),
        ({"is_list": True}, '["b","a"]', ("a", "b")),
        ({"is_list": True}, "[]", ()),
        ({"multilabel": False}, "[a]", ("[a]",)),
        ({"multilabel": False, "drop": ("a",)}, "a", None),
    ],
)
def test_encodings(spec: dict[str, Any], cell: str, expected: tuple[str, ...] | None) -> None:
    assert reader(**spec).labels(cell) == expected


@pytest.mark.parametrize("encoding", ["auto", "label", "separator", "letters", "list"])
def test_missing_and_empty_are_not_confused(encoding: str) -> None:
    plain = reader(encoding=encoding)
    assert plain.labels(None) is None
    assert plain.labels("") is None
    says_none = reader(encoding=encoding, empty_means_none=True)
    assert says_none.labels("") == ()
    assert says_none.labels(None) is None


def test_an_empty_cell_never_means_no_label_for_multiclass() -> None:
    assert reader(multilabel=False, empty_means_none=True).labels("") is None


@pytest.mark.parametrize(
    ("spec", "cell", "message"),
    [
        ({"encoding": "separator"}, "a,,b", "blank label"),
        ({"encoding": "separator"}, "a,", "blank label"),
        ({}, "  ", "blank label"),
        ({}, "x" * 301, "301 characters"),
        ({"encoding": "list"}, "['a', 'b']", "Python list"),
        ({"encoding": "list"}, "a", "not JSON"),
        ({"encoding": "list"}, '{"a": 1}', "not an array"),
        ({"encoding": "list"}, '["a", null]', "not a label"),
        ({"encoding": "list"}, '[["a"]]', "not a label"),
        ({"encoding": "list"}, "[" * 100_000, "not JSON"),
        ({}, '["a", "b"]', "looks like a list"),
        ({"is_list": True, "encoding": "letters"}, '["a"]', "the cell is a list"),
        ({"lines": ("a", "b")}, "2", "line number 2"),
        ({"lines": ("a", "b")}, "01", "'01'"),
        ({"lines": ("a", "b")}, "-1", "'-1'"),
        ({"lines": ("a", "b")}, "٣", "'٣'"),
        ({"lines": ("a", "b")}, "9" * 5000, "5,000 characters"),
    ],
)
def test_unreadable_cells(spec: dict[str, Any], cell: str, message: str) -> None:
    with pytest.raises(CellError) as caught:
        reader(**spec).labels(cell)
    assert message in caught.value.seen
    assert caught.value.expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("0", False), ("1", True), ("TRUE", True), ("false", False), ("1.0", True), ("", None), (None, None)],
)
def test_truth(cell: str | None, expected: bool | None) -> None:
    assert truth(cell) is expected


@pytest.mark.parametrize("cell", ["2", "yes", "1 1", "01", "-1", "NA", "nan", "1e0"])
def test_truth_refuses_anything_else(cell: str) -> None:
    with pytest.raises(CellError):
        truth(cell)
