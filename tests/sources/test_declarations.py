"""Declarations that contradict themselves: one line each, which the merge repeats in its error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.errors import BadTable
from sources.spec import SourceSpec, SplitSpec, TargetSpec, source_problems, split_problems

HEADS = {"mood": HeadSpec(kind="multiclass"), "tags": HeadSpec(kind="multilabel")}
MOOD: dict[str, Any] = {"heads": {"mood": "m"}}


def tags(**target: Any) -> dict[str, Any]:
    return {"path": "a.csv", "heads": {"tags": TargetSpec(**target)}}


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    (MOOD, ["path: give exactly one of `path`, `hub` and `sql`"]),
    (MOOD | {"path": "a", "hub": "b"}, ["path: give exactly one of `path`, `hub` and `sql`"]),
    (MOOD | {"path": "a", "format": "hub"}, ["format: a path is not a hub dataset"]),
    ({"path": "a.csv"}, ["heads: the source labels no head; expected at least one of mood, tags"]),
    (
        {"path": "a", "heads": {"moood": "m"}},
        ["heads.moood: no such head (did you mean `mood`?); expected one of mood, tags"],
    ),
    (tags(), ["heads.tags: give exactly one of `column` and `columns`"]),
    (tags(column="a", columns=("b",)), ["heads.tags: give exactly one of `column` and `columns`"]),
    (tags(column="a", encoding="separator", separator=""), ["heads.tags.separator: it is empty"]),
    (tags(column="a", encoding="columns"), ["heads.tags.encoding: `columns` is for several"]),
    (MOOD | {"path": "a", "split": "test", "split_column": "s"}, ["split: it is given in several ways"]),
    (MOOD | {"path": {"test": "a"}, "split_column": "s"}, ["split: it is given in several ways"]),
    (MOOD | {"path": {"test": "a"}, "split": "train"}, ["split: it is given in several ways"]),
    (MOOD | {"path": "a", "header": False}, ["names: `header: false` without `names`"]),
    (MOOD | {"path": "a", "names": ("text",)}, ["names: the file has a header of its own"]),
    (
        MOOD | {"split": "test", "split_column": "s", "header": False},
        ["path: give exactly", "split: it is given", "names: `header: false`"],
    ),
]


@pytest.mark.parametrize(("fields", "expected"), WRONG)
def test_each_contradiction_is_one_line(fields: Any, expected: list[str], tmp_path: Path) -> None:
    source = SourceSpec(**fields)
    lines = list(source_problems(source, HEADS))
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))
    with pytest.raises(BadTable) as refused:
        build_dataset({"it": source}, HEADS, SplitSpec(), tmp_path, tmp_path / "data")
    assert all(f"source 'it': {line}" in str(refused.value) for line in lines)


@pytest.mark.parametrize(
    "fields",
    [
        MOOD | {"path": "a.csv"},
        MOOD | {"hub": "b", "format": "hub"},
        MOOD | {"path": {"train": "a", "test": "b"}},
        MOOD | {"path": "a.csv", "header": False, "names": ("text", "m")},
        MOOD | {"path": "a.csv", "split_column": "s", "split_map": {"dev": "validation"}},
        tags(columns=("a", "b"), encoding="columns"),
        tags(columns={"a": "x"}),
        tags(column="a", encoding="separator", separator="|"),
    ],
)
def test_sound_declarations_have_no_problem(fields: Any) -> None:
    assert list(source_problems(SourceSpec(**fields), HEADS)) == []


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (SplitSpec(prefer=("tikets",)), ["prefer: no source 'tikets' (did you mean `tickets`?)"]),
        (SplitSpec(conflicts="prefer"), ["prefer: it is empty, but `conflicts: prefer` needs the sources"]),
        (SplitSpec(conflicts="prefer", prefer=("tickets",)), []),
    ],
)
def test_problems_of_the_split_section(split: SplitSpec, expected: list[str]) -> None:
    lines = list(split_problems(split, {"tickets": None}))
    assert len(lines) == len(expected)
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))
