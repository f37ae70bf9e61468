"""Files whose rows and columns do not fit: refused, naming file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sources.errors import BadCell, BadTable
from tests.sources.hostile_cases import MANY, ONE, check_refused, jsonl, parquet
from tests.sources.hostile_cases import Refused as R

REFUSED = [
    # rows that do not fit
    R("a field too many", "a.csv", b"text,one\na,x\nb,c,x\n", BadTable, ("line 3", "3 fields", "expected 2")),
    R("a field too few", "a.csv", b"text,one\na,x\nb\n", BadTable, ("line 3", "1 fields", "expected 2")),
    R(
        "an extra field in every row",
        "a.csv",
        b"text,one\na,b,x\nc,d,x\n",
        BadTable,
        ("2 lines, first 2, 3",),
    ),
    R("ragged after a quoted line break", "a.csv", b'text,one\n"a\nb\nc",x\nd\n', BadTable, ("line 5",)),
    R("ragged TSV", "a.tsv", b"text\tone\na\tb\tx\n", BadTable, ("line 2", "3 fields")),
    R("trailing separator", "a.csv", b"text,one\na,x,\n", BadTable, ("line 2", "3 fields")),
    R("many ragged rows", "a.csv", b"text,one\n" + b"a\n" * 100, BadTable, ("100 lines, first 2, 3, 4:",)),
    R(
        "headerless with too many names",
        "a.csv",
        b"a,x\n",
        BadTable,
        ("line 1", "2 fields", "expected 3"),
        ONE | {"header": False, "names": ("text", "one", "more")},
    ),
    R("quote not closed", "a.csv", b'text,one\na,x\n"b,x\nc,x\n', BadTable, ("line 3", "not closed")),
    R("text after a quote", "a.csv", b'text,one\n"a"b,x\n', BadTable, ("line 2", "follows the closing")),
    R("backslash escape", "a.csv", b'text,one\n"a\\"b",x\n', BadTable, ("line 2", "written twice")),
    R(
        "quote in quoted TSV",
        "a.tsv",
        b'text\tone\n"a"b\tx\n',
        BadTable,
        ("line 2",),
        ONE | {"quoting": True},
    ),
    # columns
    R("column twice", "a.csv", b"text,one,one\na,x,y\n", BadTable, ("'one'", "2 times", "fields 2, 3")),
    R("unused column twice", "a.csv", b"text,one,z,z\na,x,1,2\n", BadTable, ("'z'", "2 times")),
    R("misspelt column", "a.csv", b"text,onne\na,x\n", BadTable, ("'one'", "(did you mean `onne`?)")),
    R("column in other case", "a.csv", b"Text,one\na,x\n", BadTable, ("(did you mean `Text`?)",)),
    R("column with a blank", "a.csv", b"text, one\na,x\n", BadTable, ("(did you mean ` one`?)",)),
    R(
        "no text column",
        "a.jsonl",
        jsonl({"body": "a", "one": "x"}),
        BadTable,
        ("'text'", "no line has this key"),
    ),
    R("no label key", "a.jsonl", jsonl({"text": "a"}), BadTable, ("'one'", "no line has this key")),
    R("no Parquet column", "a.parquet", parquet(text=["a"]), BadTable, ("'one'", "expected one of 'text'")),
    R("two columns missing", "a.csv", b"a,b\n1,2\n", BadTable, ("2 columns, first 'text', 'one'",)),
    R("no group column", "a.csv", b"text,one\na,x\n", BadTable, ("'author'",), ONE | {"group": "author"}),
    # JSON lines
    R(
        "not JSON",
        "a.jsonl",
        b'{"text": "a", "one": "x"}\n{"text": }\n',
        BadTable,
        ("line 2", "character 10"),
    ),
    R("cut JSON", "a.jsonl", b'{"text": "a", "one": "x"}\n{"text": "b"', BadTable, ("line 2",)),
    R("JSON array file", "a.json", b'[\n{"text": "a"}\n]\n', BadTable, ("line 1", "array")),
    R("JSON array lines", "a.jsonl", b'["a", "x"]\n', BadTable, ("line 1", "array")),
    R("JSON scalar line", "a.jsonl", b'"a"\n', BadTable, ("line 1", "not an object")),
    R(
        "key twice",
        "a.jsonl",
        b'{"text": "a", "text": "b", "one": "x"}\n',
        BadTable,
        ("line 1", "'text'", "twice"),
    ),
    R("NaN", "a.jsonl", b'{"text": "a", "one": NaN}\n', BadTable, ("line 1", "NaN")),
    R("Infinity", "a.jsonl", b'{"text": "a", "one": -Infinity}\n', BadTable, ("line 1", "Infinity")),
    R("leading zero", "a.jsonl", b'{"text": "a", "one": 01}\n', BadTable, ("line 1", "not JSON")),
    R("single quotes", "a.jsonl", b"{'text': 'a'}\n", BadTable, ("line 1", "not JSON")),
    R(
        "nested too deeply",
        "a.jsonl",
        b'{"text": ' + b"[" * 200_000 + b"}\n",
        BadTable,
        ("line 1", "nested too"),
    ),
    R("two objects on a line", "a.jsonl", b'{"text": "a"} {"text": "b"}\n', BadTable, ("line 1", "not JSON")),
    R(
        "number as text",
        "a.jsonl",
        jsonl({"text": "a", "one": "x"}, {"text": 5}),
        BadCell,
        ("line 2", "a number"),
    ),
    R("list as text", "a.jsonl", jsonl({"text": ["a"], "one": "x"}), BadCell, ("line 1", "'text'", "a list")),
    R("boolean as text", "a.jsonl", jsonl({"text": True, "one": "x"}), BadCell, ("line 1", "a boolean")),
    R("object as label", "a.jsonl", jsonl({"text": "a", "one": {"x": 1}}), BadCell, ("line 1", "an object")),
    R(
        "lone surrogate in text",
        "a.jsonl",
        b'{"text": "\\ud83d", "one": "x"}\n',
        BadCell,
        ("line 1", "surrogate"),
    ),
    R(
        "lone surrogate in label",
        "a.jsonl",
        b'{"text": "a", "one": "\\udc00"}\n',
        BadCell,
        ("'one'", "surrogate"),
    ),
    R(
        "null in a list",
        "a.jsonl",
        jsonl({"text": "a", "many": ["x", None]}),
        BadCell,
        ("line 1", "null"),
        MANY,
    ),
    R(
        "list in a list",
        "a.jsonl",
        jsonl({"text": "a", "many": [["x"]]}),
        BadCell,
        ("line 1", "a list"),
        MANY,
    ),
    R(
        "lists and strings",
        "a.jsonl",
        jsonl({"text": "a", "many": ["x"]}, {"text": "b", "many": "x"}),
        BadCell,
        ("line 2", "'many'", "some cells are lists"),
        MANY,
    ),
    R(
        "a list after many strings",
        "a.jsonl",
        jsonl(*({"text": f"t{i}", "many": "x"} for i in range(120))) + jsonl({"text": "z", "many": ["x"]}),
        BadCell,
        ("line 121", "'many'"),
        MANY,
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused_rows(case: R, build: Any, tmp_path: Path) -> None:
    assert case.file in check_refused(case, build, tmp_path)  # where it is wrong is always said
