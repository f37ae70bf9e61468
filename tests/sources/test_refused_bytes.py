"""Files whose bytes cannot be read: refused, naming file, line and byte."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pytest

from sources.errors import BadTable, UnreadableSource
from tests.sources.hostile_cases import (
    GOOD_FEATHER,
    GOOD_GZIP,
    GOOD_PARQUET,
    MANY,
    check_refused,
    feather,
    parquet,
    parquet_of,
    wrong_utf8_parquet,
)
from tests.sources.hostile_cases import Refused as R

REFUSED = [
    # encodings and bytes
    R(
        "latin-1",
        "a.csv",
        b"text,one\nok,x\ncaf\xe9,x\n",
        UnreadableSource,
        ("line 3", "0xe9", "byte 4", "UTF-8"),
    ),
    R("latin-1 header", "a.csv", b"t\xe9xt,one\nok,x\n", UnreadableSource, ("line 1", "byte 2")),
    R(
        "windows quotes",
        "a.tsv",
        b"text\tone\n\x93hi\x94\tx\n",
        UnreadableSource,
        ("line 2", "0x93", "byte 1"),
    ),
    R("latin-1 JSON", "a.jsonl", b'{"text": "caf\xe9", "one": "x"}\n', UnreadableSource, ("line 1", "0xe9")),
    R("latin-1 in gzip", "a.csv.gz", gzip.compress(b"text,one\ncaf\xe9,x\n"), UnreadableSource, ("line 2",)),
    R(
        "half of utf-16",
        "a.csv",
        "text,one\na,x\n".encode("utf-16")[:-1],
        UnreadableSource,
        ("utf-16", "line 2"),
    ),
    R(
        "utf-16 without mark",
        "a.csv",
        "text,one\na,x\n".encode("utf-16-le"),
        UnreadableSource,
        ("NUL", "line 1", "encoding: utf-16-le"),
    ),
    R("cut multibyte at end", "a.csv", "text,one\na,é".encode()[:-1], UnreadableSource, ("line 2", "0xc3")),
    R("surrogate in UTF-8", "a.csv", b"text,one\n\xed\xa0\x80,x\n", UnreadableSource, ("line 2", "0xed")),
    R("overlong", "a.csv", b"text,one\n\xc0\xaf,x\n", UnreadableSource, ("line 2", "0xc0")),
    R("NUL in a cell", "a.csv", b"text,one\na,x\nb\0c,x\n", UnreadableSource, ("line 3", "NUL", "byte 2")),
    R("NUL in JSON", "a.jsonl", b'{"text": "a"}\n\0\n', UnreadableSource, ("line 2", "NUL")),
    R("NUL block at end", "a.tsv", b"text\tone\na\tx\n" + b"\0" * 512, UnreadableSource, ("line 3", "NUL")),
    R(
        "bad byte far in",
        "a.csv",
        b"text,one\n" + b"abcdefg,x\n" * 600_000 + b"\xff,x\n",
        UnreadableSource,
        ("line 600002", "0xff", "byte 1 "),
    ),
    R("gzip without ending", "a.csv", gzip.compress(b"text,one\na,x\n"), UnreadableSource, ("gzip",)),
    R("Parquet as CSV", "a.csv", GOOD_PARQUET, UnreadableSource, ("Parquet",)),
    R("Feather as CSV", "a.csv", GOOD_FEATHER, UnreadableSource, ("Arrow",)),
    R("zip as CSV", "a.csv", b"PK\x03\x04xxxx", UnreadableSource, ("zip",)),
    R("PDF as CSV", "a.csv", b"%PDF-1.7\n", UnreadableSource, ("PDF",)),
    # empty
    R("empty CSV", "a.csv", b"", UnreadableSource, ("a.csv", "empty")),
    R("empty JSONL", "a.jsonl", b"", UnreadableSource, ("empty",)),
    R("only a byte-order mark", "a.csv", b"\xef\xbb\xbf", UnreadableSource, ("empty",)),
    R("empty gzip", "a.csv.gz", gzip.compress(b""), UnreadableSource, ("empty",)),
    R("empty Parquet file", "a.parquet", b"", UnreadableSource, ("not a whole Parquet file",)),
    R("only blank lines", "a.csv", b"\n\n\n", BadTable, ("only blank lines",)),
    R("blank JSON lines", "a.jsonl", b"\n  \n", BadTable, ("no rows",)),
    R("header only", "a.csv", b"text,one\n", BadTable, ("header but no rows",)),
    R("header only without line end", "a.tsv", b"text\tone", BadTable, ("header but no rows",)),
    R(
        "Parquet without rows",
        "a.parquet",
        parquet(text=pa.array([], pa.string()), one=pa.array([], pa.string())),
        BadTable,
        ("no rows",),
    ),
    R(
        "Feather without rows",
        "a.feather",
        feather(text=pa.array([], pa.string()), one=pa.array([], pa.string())),
        BadTable,
        ("no rows",),
    ),
    # gzip
    R("truncated gzip", "a.csv.gz", GOOD_GZIP[:-50], UnreadableSource, ("ends early",)),
    R("gzip cut to its header", "a.csv.gz", GOOD_GZIP[:8], UnreadableSource, ("ends early",)),
    R("not gzip", "a.csv.gz", b"text,one\na,x\n", UnreadableSource, ("not a valid gzip",)),
    R(
        "damaged gzip",
        "a.jsonl.gz",
        GOOD_GZIP[:200] + b"\xff" * 20 + GOOD_GZIP[220:],
        UnreadableSource,
        ("gzip",),
    ),
    # columnar files
    R("truncated Parquet", "a.parquet", GOOD_PARQUET[:-20], UnreadableSource, ("not a whole Parquet file",)),
    R(
        "damaged Parquet",
        "a.parquet",
        GOOD_PARQUET[:40] + b"\xff" * 40 + GOOD_PARQUET[80:],
        UnreadableSource,
        ("Parquet",),
    ),
    R("CSV as Parquet", "a.parquet", b"text,one\na,x\n", UnreadableSource, ("not a whole Parquet file",)),
    R("truncated Feather", "a.feather", GOOD_FEATHER[:-40], UnreadableSource, ("not a whole Arrow file",)),
    R(
        "wrong UTF-8 in Parquet",
        "a.parquet",
        wrong_utf8_parquet(),
        UnreadableSource,
        ("line 1", "'text'", "UTF8"),
    ),
    R(
        "Parquet column twice",
        "a.parquet",
        parquet_of(["text", "one", "one"], [["a"], ["x"], ["y"]]),
        BadTable,
        ("'one'", "twice"),
    ),
    R(
        "null further down in a Parquet list",
        "a.parquet",
        parquet(text=["a", "b", "c"], many=[["x"], None, ["x", None]]),
        BadTable,
        ("line 3", "'many'", "null"),
        MANY,
    ),
    R("struct label", "a.parquet", parquet(text=["a"], one=[{"v": "x"}]), BadTable, ("'one'", "struct")),
    R(
        "list of structs",
        "a.parquet",
        parquet(text=["a"], many=[[{"v": "x"}]]),
        BadTable,
        ("'many'", "struct"),
        MANY,
    ),
    R("list of lists", "a.parquet", parquet(text=["a"], many=[[["x"]]]), BadTable, ("'many'", "list"), MANY),
    R(
        "map label",
        "a.parquet",
        parquet(text=["a"], one=pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int64()))),
        BadTable,
        ("'one'", "map"),
    ),
    R("numbers as text", "a.parquet", parquet(text=[1], one=["x"]), BadTable, ("'text'", "int64", "strings")),
    R("bytes as text", "a.parquet", parquet(text=[b"a"], one=["x"]), BadTable, ("'text'", "binary")),
    R(
        "dates as labels",
        "a.parquet",
        parquet(text=["a"], one=pa.array([1], pa.date32())),
        BadTable,
        ("date32",),
    ),
    R(
        "null in a Parquet list",
        "a.parquet",
        parquet(text=["a"], many=[["x", None]]),
        BadTable,
        ("null",),
        MANY,
    ),
    R("empty Feather file", "a.feather", b"", UnreadableSource, ("not a whole Arrow file",)),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused_bytes(case: R, build: Any, tmp_path: Path) -> None:
    assert case.file in check_refused(case, build, tmp_path)  # where it is wrong is always said


ROWS = {"text": [f"t{i}" for i in range(5000)], "one": ["x", "y"] * 2500}
LONG_PARQUET, LONG_FEATHER = parquet(**ROWS), feather(**ROWS)
CUTS = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


@pytest.mark.parametrize("share", CUTS)
@pytest.mark.parametrize("file", ["a.csv.gz", "a.parquet", "a.feather"])
def test_a_file_cut_short_anywhere_is_refused(file: str, share: float, build: Any, tmp_path: Path) -> None:
    whole = {"a.csv.gz": GOOD_GZIP, "a.parquet": LONG_PARQUET, "a.feather": LONG_FEATHER}[file]
    case = R("cut", file, whole[: max(int(len(whole) * share), 1)], UnreadableSource, (file,))
    check_refused(case, build, tmp_path)
