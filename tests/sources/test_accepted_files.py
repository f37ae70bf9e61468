"""Odd but sound files: read exactly as they are written."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pytest

from model.spec import HeadSpec
from sources.spec import SourceSpec
from tests.sources.hostile_cases import (
    GOOD_FEATHER,
    HEADERLESS,
    MANY,
    ONE,
    check_read,
    flags,
    jsonl,
    many,
    parquet,
)
from tests.sources.hostile_cases import Read as A

LONG = "ab " * 3_500_000
ACCEPTED = [
    A("byte-order mark", "a.csv", b"\xef\xbb\xbftext,one\na,x\n", {"a": "x"}),
    A("byte-order mark in JSON", "a.jsonl", b"\xef\xbb\xbf" + jsonl({"text": "a", "one": "x"}), {"a": "x"}),
    A("CRLF", "a.csv", b"text,one\r\na,x\r\nb,y\r\n", {"a": "x", "b": "y"}),
    A("lone CR", "a.csv", b"text,one\ra,x\rb,y\r", {"a": "x", "b": "y"}),
    A("no line end at the end", "a.tsv", b"text\tone\na\tx", {"a": "x"}),
    A("blank lines between", "a.csv", b"text,one\n\na,x\n\n\nb,y\n\n", {"a": "x", "b": "y"}),
    A(
        "NA as text and label",
        "a.csv",
        b"text,one\nNA,NA\nNone,None\nnull,null\nnan,x\n",
        {"NA": "NA", "None": "None", "null": "null", "nan": "x"},
    ),
    A(
        "numbers as text",
        "a.csv",
        b"text,one\n1,x\n01,x\n1.0,y\n1e5,y\n",
        {"1": "x", "01": "x", "1.0": "y", "1e5": "y"},
    ),
    A(
        "numbers with a gap are one label, ids are not",
        "a.csv",
        b"text,one\na,1\nb,01\nc,1.0\n",
        {"a": "1", "b": "01", "c": "1"},
    ),
    A(
        "JSON numbers are one label",
        "a.jsonl",
        b'{"text":"a","one":1}\n{"text":"b","one":1.0}\n{"text":"c","one":"1"}\n',
        {"a": "1", "b": "1", "c": "1"},
    ),
    A(
        "JSON numbers and strings",
        "a.jsonl",
        jsonl({"text": "a", "one": 1}, {"text": "b", "one": "x"}),
        {"a": "1", "b": "x"},
    ),
    A(
        "JSON booleans",
        "a.jsonl",
        jsonl({"text": "a", "one": True}, {"text": "b", "one": False}),
        {"a": "true", "b": "false"},
    ),
    A(
        "huge integer",
        "a.jsonl",
        b'{"text": "a", "one": 123456789012345678901234567890}\n',
        {"a": "123456789012345678901234567890"},
    ),
    A("semicolons", "a.csv", b"text;one\na;x\n", {"a": "x"}),
    A("tabs in a CSV", "a.csv", b"text\tone\na\tx\n", {"a": "x"}),
    A("commas in a TSV", "a.tsv", b"text,one\na,x\n", {"a": "x"}),
    A("bars", "a.csv", b"text|one\na|x\n", {"a": "x"}),
    A("UTF-16", "a.csv", "text,one\na,x\n".encode("utf-16"), {"a": "x"}),
    A("UTF-16, big end first", "a.csv", b"\xfe\xff" + "text,one\na,x\n".encode("utf-16-be"), {"a": "x"}),
    A("UTF-32 in JSON", "a.jsonl", '{"text": "a", "one": "x"}\n'.encode("utf-32"), {"a": "x"}),
    A("line break in a cell", "a.csv", b'text,one\n"a\nb",x\n', {"a\nb": "x"}),
    A("separator in a cell", "a.csv", b'text,one\n"a,b",x\n', {"a,b": "x"}),
    A("doubled quotes", "a.csv", b'text,one\n"say ""hi""",x\n', {'say "hi"': "x"}),
    A("quote inside an unquoted cell", "a.csv", b'text,one\n5" pipe,x\n', {'5" pipe': "x"}),
    A("quotes mean nothing in TSV", "a.tsv", b'text\tone\n"open\tx\n', {'"open': "x"}),
    A("formula", "a.csv", b'text,one\n"=HYPERLINK(""http://x"")",x\n', {'=HYPERLINK("http://x")': "x"}),
    A(
        "markup",
        "a.csv",
        b"text,one\n<script>alert(1)</script>,<b>x</b>\n",
        {"<script>alert(1)</script>": "<b>x</b>"},
    ),
    A("a cell of 10 MB", "a.csv", b"text,one\n" + LONG.encode() + b",x\n", {LONG.strip(): "x"}),
    A("a JSON text of 10 MB", "a.jsonl", jsonl({"text": LONG, "one": "x"}), {LONG.strip(): "x"}),
    A(
        "control characters",
        "a.jsonl",
        jsonl({"text": "a\u0000\u0007b", "one": "x"}),
        {"a\u0000\u0007b": "x"},
    ),
    A("text of right-to-left marks", "a.csv", "text,one\n\u202ea\u202c,x\n".encode(), {"\u202ea\u202c": "x"}),
    A(
        "line separators inside a cell",
        "a.csv",
        "text,one\na\u2028b\x85c\x0bd,x\n".encode(),
        {"a\u2028b\x85c\x0bd": "x"},
    ),
    A("emoji and combining marks", "a.csv", "text,one\n👩‍👩‍👧 e\u0301,x\n".encode(), {"👩‍👩‍👧 é": "x"}),
    A("missing label in CSV", "a.csv", b"text,one\na,\nb,x\n", {"a": None, "b": "x"}),
    A(
        "missing and null label in JSON",
        "a.jsonl",
        jsonl({"text": "a"}, {"text": "b", "one": None}, {"text": "c", "one": "x"}),
        {"a": None, "b": None, "c": "x"},
    ),
    A(
        "empty list is not missing",
        "a.jsonl",
        jsonl({"text": "a", "many": []}, {"text": "b"}, {"text": "c", "many": None}),
        {"a": [], "b": None, "c": None},
        MANY,
    ),
    A("label twice in a list", "a.jsonl", jsonl({"text": "a", "many": ["x", "x"]}), {"a": ["x"]}, MANY),
    A("numbers in a list", "a.jsonl", jsonl({"text": "a", "many": [1, 7]}), {"a": ["1", "7"]}, MANY),
    A(
        "Parquet list",
        "a.parquet",
        parquet(text=["a", "b", "c"], many=[["y", "x"], [], None]),
        {"a": ["x", "y"], "b": [], "c": None},
        MANY,
    ),
    A("Parquet list of numbers", "a.parquet", parquet(text=["a"], many=[[2, 1]]), {"a": ["1", "2"]}, MANY),
    A("Parquet integers", "a.parquet", parquet(text=["a", "b"], one=[1, None]), {"a": "1", "b": None}),
    A(
        "Parquet floats",
        "a.parquet",
        parquet(text=["a", "b"], one=[1.0, float("nan")]),
        {"a": "1.0", "b": None},
    ),
    A(
        "Parquet dictionary",
        "a.parquet",
        parquet(text=pa.array(["a", "b"]).dictionary_encode(), one=["x", "y"]),
        {"a": "x", "b": "y"},
    ),
    A(
        "Parquet large strings",
        "a.parquet",
        parquet(text=pa.array(["a"], pa.large_string()), one=["x"]),
        {"a": "x"},
    ),
    A(
        "Parquet flags",
        "a.parquet",
        parquet(text=["a", "b"], f=[True, None], g=[False, True]),
        {"a": ["f"], "b": ["g"]},
        flags("f", "g"),
    ),
    A("Feather", "a.feather", GOOD_FEATHER, {"a": "x", "b": "y"}),
    A(
        "flags that pandas wrote",
        "a.csv",
        b"text,f,g\na,1.0,\nb,0.0,1\nc,,\n",
        {"a": ["f"], "b": ["g"], "c": None},
        flags("f", "g"),
    ),
    A("pandas index column", "a.csv", b",text,one\n0,a,x\n1,b,y\n", {"a": "x", "b": "y"}),
    A("headerless", "a.csv", b"a,x\n", {"a": "x"}, ONE | HEADERLESS),
    A(
        "where on strings",
        "a.csv",
        b"text,one,n\na,x,9\nb,y,10\n",
        {"b": "y"},
        ONE | {"where": "CAST(n AS INT) > 9 AND one = 'y'"},
    ),
    A(
        "where on Parquet numbers",
        "a.parquet",
        parquet(text=["a", "b"], one=["x", "y"], n=[9, 10]),
        {"b": "y"},
        ONE | {"where": "n > 9"},
    ),
    A(
        "where on a JSON key that few lines have",
        "a.jsonl",
        jsonl({"text": "a", "one": "x"}, {"text": "b", "one": "y", "n": {"k": 1}}),
        {"b": "y"},
        ONE | {"where": "n IS NOT NULL"},
    ),
    A("limit", "a.csv", b"text,one\na,x\nb,y\nc,x\n", {"a": "x", "b": "y"}, ONE | {"limit": 2}),
    A(
        "limit spares later bad rows",
        "a.jsonl",
        jsonl({"text": "a", "one": "x"}) + b"{",
        {"a": "x"},
        ONE | {"limit": 1},
    ),
    A("upper-case ending", "A.CSV", b"text,one\na,x\n", {"a": "x"}),
    A(
        "gzip of two members",
        "a.csv.gz",
        gzip.compress(b"text,one\na,x\n") + gzip.compress(b"b,y\n"),
        {"a": "x", "b": "y"},
    ),
    A(
        "labels file",
        "a.tsv",
        b"text\tmany\na\t1,0\n",
        {"a": ["x", "y"]},
        many(encoding="separator", labels_file="labels.txt"),
    ),
    A("letters", "a.csv", b"text,many\na,YX\nb,\n", {"a": ["X", "Y"], "b": None}, many(encoding="letters")),
    A(
        "empty means none",
        "a.csv",
        b"text,many\na,x\nb,\n",
        {"a": ["x"], "b": []},
        many(encoding="separator", empty_means_none=True),
    ),
    A("missing text left out", "a.csv", b"text,one\n,x\na,y\n  ,x\n", {"a": "y"}),
    A("same text twice", "a.csv", b"text,one\na,x\n a ,x\n", {"a": "x"}),
    A("conflict", "a.csv", b"text,one\na,x\na,y\nb,x\n", {"a": None, "b": "x"}),
]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_read_as_written(case: A, build: Any, tmp_path: Path) -> None:
    check_read(case, build, tmp_path)


def test_ten_thousand_labels(build: Any, tmp_path: Path) -> None:
    rows = "".join(f"text {i},label {i % 10_000:05}\n" for i in range(20_000))
    (tmp_path / "a.csv").write_text("text,one\n" + rows + "v,label 00000\n")
    built = build(
        {
            "it": SourceSpec(path="a.csv", split="train", heads={"one": "one"}),
        },
        {"one": HeadSpec(kind="multiclass"), "many": HeadSpec(kind="multilabel")},
        filler={"one": ["label 00001"], "many": [["x"]]},
    )
    assert len(built.ref.heads["one"].labels) == 10_000


def test_ten_thousand_labels_of_a_multilabel_head(build: Any, tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "many": [f"label {(i * 5 + k):05}" for k in range(5)]} for i in range(2000)]
    (tmp_path / "a.jsonl").write_bytes(jsonl(*rows))
    built = build(
        {"it": SourceSpec(path="a.jsonl", split="train", heads={"many": "many"})},
        {"many": HeadSpec(kind="multilabel")},
        filler={"many": [["label 00001"], []]},
    )
    assert len(built.ref.heads["many"].labels) == 10_000
    assert built.answers("many")["text 1999"] == [f"label {n:05}" for n in range(9995, 10_000)]
