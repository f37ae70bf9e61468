"""Makers of hostile files, and how a case is driven: shared by the tests of refused and accepted files."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from model.spec import HeadSpec
from sources.errors import BadLabels, DataError
from sources.spec import SourceSpec, SplitSpec, TargetSpec

ONE = {"heads": {"one": "one"}}
MANY = {"heads": {"many": TargetSpec(column="many")}}
HEADERLESS = {"header": False, "names": ("text", "one")}


def many(**spec: Any) -> dict[str, Any]:
    return {"heads": {"many": TargetSpec(**({"column": "many"} | spec))}}


def flags(*columns: str, **spec: Any) -> dict[str, Any]:
    return {"heads": {"many": TargetSpec(columns=columns, **spec)}}


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def parquet_of(names: list[str], columns: list[Any]) -> bytes:
    """Parquet whose columns' names may be the same."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], names), out)
    return out.getvalue()


def feather(**columns: Any) -> bytes:
    out = io.BytesIO()
    pyarrow.feather.write_feather(pa.table(columns), out)
    return out.getvalue()


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def wrong_utf8_parquet() -> bytes:
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    return parquet(text=bad, one=["x"])


GOOD_PARQUET = parquet(text=["a", "b"], one=["x", "y"])
GOOD_FEATHER = feather(text=["a", "b"], one=["x", "y"])
GOOD_GZIP = gzip.compress(b"text,one\n" + b"".join(b"t%d,x\n" % i for i in range(5000)))


@dataclass(frozen=True)
class Refused:
    name: str
    file: str
    content: bytes
    error: type[DataError]
    says: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=lambda: dict(ONE))


@dataclass(frozen=True)
class Read:
    name: str
    file: str
    content: bytes
    answers: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=lambda: dict(ONE))


def check_refused(case: Refused, build: Any, tmp_path: Path) -> str:
    """The case is refused with its error and message; no text leaks, nothing is written. The message."""
    (tmp_path / case.file).write_bytes(case.content)
    (tmp_path / "labels.txt").write_text("x\ny\n")
    (tmp_path / "gaps.txt").write_text("x\n\ny\n")
    (tmp_path / "twice.txt").write_text("x\ny\nx\n")
    spec = {"split": "train", **case.spec}
    alone = spec.pop("alone", False)
    heads = {"one": HeadSpec(kind="multiclass"), "many": HeadSpec(kind="multilabel")}
    filler = None if alone else {"one": ["x", "y"], "many": [["x"], ["y"]]}
    with pytest.raises(case.error) as caught:
        build({"it": SourceSpec(path=case.file, **spec)}, heads, filler=filler)
    message = str(caught.value)
    for part in case.says:
        assert re.search(re.escape(part), message) or re.search(part, message), message
    if case.error is not BadLabels and not alone:
        assert "'it'" in message  # the source is named
    assert "w" * 50 not in message  # the text of a cell never enters a message
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").iterdir())
    return message


def check_read(case: Read, build: Any, tmp_path: Path) -> None:
    """The case is read, and its texts have the answers expected."""
    (tmp_path / case.file).write_bytes(case.content)
    (tmp_path / "labels.txt").write_text("x\ny\n")
    heads = {"one": HeadSpec(kind="multiclass"), "many": HeadSpec(kind="multilabel")}
    built = build(
        {"it": SourceSpec(path=case.file, **{"split": "train", **case.spec})},
        heads,
        SplitSpec(near_duplicates="off"),
        filler={"one": ["x", "y"], "many": [["x"], ["y"]]},
    )
    head = next(iter(case.spec["heads"]))
    found = {text: answer for text, answer in built.answers(head).items() if not text.startswith("filler")}
    assert found == case.answers
