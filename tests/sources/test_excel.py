"""Excel files: cells as they are stored, the sheet that is meant, and the message where it cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from model.spec import HeadSpec
from sources.errors import BadTable, DataError, UnreadableSource
from sources.formats.read import read_source
from sources.spec import SourceSpec, SplitSpec, TargetSpec
from tests.sources.conftest import Build
from tests.support.workbooks import write_xlsx

HEADS = {"topic": "topic"}


def rows(folder: Path, **more: Any) -> list[tuple[Any, ...]]:
    spec = SourceSpec(path="a.xlsx", heads=HEADS, **more)
    frame = read_source("it", spec, folder, lambda rows: None).table.frame
    return frame.select("__line", "text", "topic").rows()


def test_cells_are_read_as_they_are_stored(tmp_path: Path) -> None:
    pytest.importorskip("fastexcel")
    table = [
        ["text", "topic", "n"],
        ["one", "007", 1],
        ["two", 5, 2.5],
        [None, None, None],
        ["three", True, 3],
    ]
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": table, "empty": []})
    found = rows(tmp_path)
    assert [row[:2] for row in found] == [(2, "one"), (3, "two"), (5, "three")]
    assert [row[2] for row in found][:2] == ["007", "5"] and found[2][2].lower() == "true"


def test_the_sheet_that_is_meant(tmp_path: Path) -> None:
    pytest.importorskip("fastexcel")
    sheets = {name: [["text", "topic"], [name, "x"]] for name in ("new", "old")}
    write_xlsx(tmp_path / "a.xlsx", sheets)
    assert rows(tmp_path, sheet="old") == [(2, "old", "x")]
    with pytest.raises(BadTable, match=r"2 sheets hold rows: new, old.*`sheet`"):
        rows(tmp_path)
    with pytest.raises(BadTable, match=r"no sheet 'odl'.*'old'"):
        rows(tmp_path, sheet="odl")


def test_what_is_no_excel_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("fastexcel")
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(UnreadableSource, match="not a readable Excel file"):
        rows(tmp_path)
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": []})
    with pytest.raises(DataError, match="no sheet holds rows"):
        rows(tmp_path)


def test_without_the_engine_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": [["text", "topic"], ["a", "x"]]})
    monkeypatch.setitem(sys.modules, "fastexcel", None)  # as if it were not installed
    with pytest.raises(UnreadableSource, match=r"headgate\[excel\]"):
        rows(tmp_path)


def test_an_empty_cell_means_what_it_does_in_a_csv(build: Build, tmp_path: Path) -> None:
    pytest.importorskip("fastexcel")
    write_xlsx(tmp_path / "a.xlsx", {"Sheet1": [["text", "marks"], ["one", "x,y"], ["two", None]]})
    (tmp_path / "a.csv").write_text('text,marks\none,"x,y"\ntwo,\n')
    for none, meant in ((True, []), (False, None)):
        target = TargetSpec(column="marks", encoding="separator", empty_means_none=none)
        for name in ("a.xlsx", "a.csv"):
            source = SourceSpec(path=name, heads={"marks": target}, split="train")
            heads = {"marks": HeadSpec(kind="multilabel")}
            found = build(
                {"it": source}, heads, SplitSpec(near_duplicates="off"), filler={"marks": [["x"], ["y"]]}
            )
            assert (found.answers("marks")["one"], found.answers("marks")["two"]) == (["x", "y"], meant)
