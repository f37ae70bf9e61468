"""Cells, declarations and labels that make no sense: refused, naming line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sources.errors import BadCell, BadSplit, BadTable, DataError, UnreadableSource
from tests.sources.hostile_cases import MANY, ONE, check_refused, flags, jsonl, many
from tests.sources.hostile_cases import Refused as R

REFUSED = [
    # cells
    R(
        "flag is a word",
        "a.csv",
        b"text,f,g\na,1,0\nb,yes,0\n",
        BadCell,
        ("line 3", "'f'", "'yes'"),
        flags("f", "g"),
    ),
    R("flag is NA", "a.csv", b"text,f,g\na,NA,0\n", BadCell, ("line 2", "'NA'"), flags("f", "g")),
    R(
        "flag is 2",
        "a.jsonl",
        jsonl({"text": "a", "f": 2, "g": 0}),
        BadCell,
        ("line 1", "'2'"),
        flags("f", "g"),
    ),
    R("flag is a share", "a.csv", b"text,f,g\na,0.5,0\n", BadCell, ("line 2", "'0.5'"), flags("f", "g")),
    R(
        "flag is a text",
        "a.csv",
        b"text,f,g\na," + b"w" * 200 + b",0\n",
        BadCell,
        ("a value of 200 char",),
        flags("f", "g"),
    ),
    R(
        "flags are lists",
        "a.jsonl",
        jsonl({"text": "a", "f": [1], "g": [0]}),
        BadTable,
        ("'f' holds lists",),
        flags("f", "g"),
    ),
    R(
        "two columns for a label",
        "a.csv",
        b"text,f,g\na,1,0\n",
        BadTable,
        ("two columns", "'p'"),
        flags("f", "g", map={"f": "p", "g": "p"}),
    ),
    R(
        "Python list",
        "a.csv",
        b"text,many\na,\"['x', 'y']\"\n",
        BadCell,
        ("line 2", "Python list"),
        many(encoding="list"),
    ),
    R("list not declared", "a.csv", b'text,many\na,"[""x""]"\n', BadCell, ("line 2", "encoding: list"), MANY),
    R("blank label", "a.csv", b"text,one\na, \n", BadCell, ("line 2", "blank label")),
    R(
        "doubled separator",
        "a.csv",
        b'text,many\na,"x,,y"\n',
        BadCell,
        ("line 2", "blank label"),
        many(encoding="separator"),
    ),
    R(
        "text in the label column",
        "a.csv",
        b"text,one\na," + b"w" * 400 + b"\n",
        BadCell,
        ("line 2", "400 characters"),
    ),
    R(
        "two bad cells",
        "a.csv",
        b'text,many\na,"x,"\nb,",x"\n',
        BadCell,
        ("2 lines, first 2, 3",),
        many(encoding="separator"),
    ),
    R(
        "label number out of range",
        "a.csv",
        b"text,many\na,x\nb,9\n",
        BadCell,
        ("line 2", "'x'", "line number 9"),
        many(labels_file="labels.txt"),
    ),
    R(
        "no labels file",
        "a.csv",
        b"text,many\na,0\n",
        UnreadableSource,
        ("nolabels.txt",),
        many(labels_file="nolabels.txt"),
    ),
    R(
        "labels file with a blank line",
        "a.csv",
        b"text,many\na,0\n",
        DataError,
        ("gaps.txt, line 2", "blank"),
        many(labels_file="gaps.txt"),
    ),
    R(
        "label twice in labels file",
        "a.csv",
        b"text,many\na,0\n",
        DataError,
        ("twice.txt, line 3", "twice"),
        many(labels_file="twice.txt"),
    ),
    # declarations
    R("unknown ending", "a.txt", b"text,one\na,x\n", UnreadableSource, ("a.txt", "format")),
    R("spreadsheet", "a.ods", b"PK\x03\x04", UnreadableSource, ("a.ods", "format")),
    R(
        "headerless without names",
        "a.csv",
        b"a,x\n",
        BadTable,
        ("`header: false` without `names`",),
        ONE | {"header": False},
    ),
    R(
        "names beside a header",
        "a.csv",
        b"a,x\n",
        BadTable,
        ("names: the file has a header of its own",),
        ONE | {"names": ("text",)},
    ),
    R(
        "no such head",
        "a.csv",
        b"text,one\na,x\n",
        BadTable,
        ("heads.mny", "(did you mean `many`?)"),
        {"heads": {"mny": "one"}},
    ),
    R(
        "where on no column",
        "a.csv",
        b"text,one\na,x\n",
        BadTable,
        ("where", "stars"),
        ONE | {"where": "stars = '5'"},
    ),
    R(
        "where compares text with a number",
        "a.csv",
        b"text,one,n\na,x,5\n",
        BadTable,
        ("CAST",),
        ONE | {"where": "n > 3"},
    ),
    R("where is no SQL", "a.csv", b"text,one\na,x\n", BadTable, ("where: ((",), ONE | {"where": "(("}),
    R(
        "where keeps nothing",
        "a.csv",
        b"text,one\na,x\n",
        BadTable,
        ("no row passes",),
        ONE | {"where": "one = 'q'"},
    ),
    R("where is no condition", "a.csv", b"text,one\na,x\n", BadTable, ("where",), ONE | {"where": "one"}),
    R(
        "where does not cast",
        "a.csv",
        b"text,one,n\na,x," + b"w" * 60 + b"\n",
        BadTable,
        ("where", "conversion"),
        ONE | {"where": "CAST(n AS INT) > 3"},
    ),
    R(
        "unknown split",
        "a.csv",
        b"text,one,s\na,x,train\nb,x,later\n",
        BadSplit,
        ("line 3", "'later'", "split_map"),
        ONE | {"split_column": "s", "split": None},
    ),
    R(
        "split given twice over",
        "a.csv",
        b"text,one,s\na,x,train\n",
        BadTable,
        ("in several ways",),
        ONE | {"split_column": "s"},
    ),
    R(
        "saved dataset that is a file",
        "a.csv",
        b"text,one\na,x\n",
        UnreadableSource,
        ("save_to_disk",),
        ONE | {"format": "saved"},
    ),
    R(
        "every text blank",
        "a.csv",
        b"text,one\n ,x\n",
        BadTable,
        ("every text is missing or blank",),
        ONE | {"alone": True},
    ),
    # labels
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused_cells(case: R, build: Any, tmp_path: Path) -> None:
    check_refused(case, build, tmp_path)
