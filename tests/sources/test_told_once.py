"""One problem that many files, rows or columns share is told once, with its count and three places; a source
that fails outright hides nothing of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.spec import HeadSpec
from report.quality.sources import source_remarks
from sources.errors import BadCell, BadTable, DataError, Problem
from sources.spec import SourceSpec, SplitSpec, TargetSpec
from tests.sources.conftest import Build

TOPIC = {"topic": HeadSpec(kind="multiclass")}
QUIET = SplitSpec(near_duplicates="off")
LABELS = tuple(f"label {n}" for n in range(20))


def refused(build: Build, sources: dict[str, SourceSpec], heads: dict[str, HeadSpec] = TOPIC) -> str:
    with pytest.raises(DataError) as caught:
        build(sources, heads, QUIET)
    return str(caught.value)


def test_one_wrong_separator_is_one_line_however_many_columns_it_hides(build: Build, tmp_path: Path) -> None:
    header = "^".join(("text", *LABELS))
    (tmp_path / "rows.csv").write_text(f"{header}\n" + "a^" + "^".join("0" * 20) + "\n")
    source = SourceSpec(path="rows.csv", heads={"marks": TargetSpec(columns=LABELS)})
    said = refused(build, {"it": source}, {"marks": HeadSpec(kind="multilabel")})
    assert said == (
        "source 'it', rows.csv, line 1: the header is one field that holds '^', so that 21 columns are not "
        "found; expected fields separated by ','. Set `delimiter: \"^\"`."
    )


def test_columns_that_twenty_files_lack_are_one_line(build: Build, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(20):
        (tmp_path / "in" / f"{number:02}.csv").write_text("text,other\na,x\n")
    said = refused(build, {"it": SourceSpec(path="in", heads={"topic": "topic"})})
    assert said.count("\n") == 0
    assert said.startswith(
        "source 'it', 20 files, first in/00.csv line 1, in/01.csv line 1, in/02.csv line 1, column 'topic': "
    )


def test_bad_cells_of_one_kind_are_counted_with_all_their_rows(build: Build, tmp_path: Path) -> None:
    rows = "".join(f'text {n},"[1, 0"\n' if n % 3 == 0 else f'text {n},"[""x""]"\n' for n in range(30))
    (tmp_path / "rows.csv").write_text(f"text,topic\n{rows}")
    target = TargetSpec(column="topic", encoding="list")
    said = refused(build, {"it": SourceSpec(path="rows.csv", heads={"topic": target})})
    assert "rows.csv, 10 lines, first 2, 5, 8, column 'topic', head 'topic': the cell is not JSON" in said


def test_a_source_that_fails_outright_hides_nothing_of_the_others(build: Build, tmp_path: Path) -> None:
    (tmp_path / "no_json.jsonl").write_text("no json\n" * 7)
    (tmp_path / "cells.csv").write_text('text,topic\na,"[1, 0]"\nb,x\n')
    (tmp_path / "bytes.csv").write_bytes(b"text,topic\n\xff\xfe,x\n")
    list_of = {"topic": TargetSpec(column="topic", encoding="list")}
    sources = {
        "absent": SourceSpec(path="absent.csv", heads={"topic": "topic"}),
        "bytes": SourceSpec(path="bytes.csv", heads={"topic": "topic"}),
        "cells": SourceSpec(path="cells.csv", heads=list_of),
        "lines": SourceSpec(path="no_json.jsonl", heads={"topic": "topic"}),
    }
    said = refused(build, sources)
    assert said.startswith("4 problems with the data:\n") and said.count("\n") == 4
    for piece in ("absent.csv", "bytes.csv", "cells.csv, line 2", "7 lines, first 1, 2, 3: not JSON"):
        assert piece in said


def test_the_same_problem_of_two_sources_names_both() -> None:
    both = [Problem("no rows", "one", file="a.csv").of_source(name, None) for name in ("may", "june")]
    assert str(BadTable(*both)) == "2 sources, first 'may', 'june', a.csv: no rows; expected one"


def test_many_kinds_end_in_a_count() -> None:
    said = str(BadCell(*(Problem(f"the value {n}", file="a.csv", line=n) for n in range(1, 40))))
    assert said.startswith("39 problems") and said.endswith("\n  and 27 more of other kinds")


def test_how_files_were_read_is_said_once_for_all_of_them(build: Build, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(5):
        rows = "".join(f"text {number} {n};{('x', 'y')[n % 2]}\n" for n in range(20))
        (tmp_path / "in" / f"{number}.csv").write_text(f"text;topic\n{rows}")
    found = build({"it": SourceSpec(path="in", heads={"topic": "topic"})}, TOPIC, QUIET)
    [said] = source_remarks(found.profile)
    assert said.startswith(
        "source `it`, 5 files, first in/0.csv, in/1.csv, in/2.csv: cells are separated by ';'"
    )
