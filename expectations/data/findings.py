"""Offending rows as data: rule, source, file, line, head and a short value, never the text.

Rows that the merge already named (`findings.parquet` of the dataset folder) are kept; for the other rules
they are found here from the tables that were judged. Capped per rule and head; the true totals stand in the
results.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, Check
from expectations.data.tables import DAMAGE, MARKUP, Tables

CAP = 1000
"""Most rows kept for one rule and head."""

UNITS = {"text_length": "characters", "multiclass_exactly_one": "labels", "repeated_text": "times"}
"""Rule → unit of the figure that is told of each row."""

COLUMNS = pa.schema(
    [
        ("rule", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("head", pa.string()),
        ("value", pa.string()),
    ]
)
"""Columns of the table of findings."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings that a spreadsheet takes for a formula (OWASP, "CSV Injection")."""


def broken_rows(check: Check, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Positions in `frame` of the elements that break a check of ours; empty for other expectations."""
    none = np.zeros(0, dtype=np.int64)
    if check.column not in frame.columns:
        return none
    values = frame[check.column]
    if check.type == VALUES_IN_SET:
        bad = ~values.isin(list(check.kwargs["value_set"]))
    elif check.type == VALUES_BETWEEN:
        low, high = check.kwargs.get("min_value"), check.kwargs.get("max_value")
        bad = pd.Series(False, index=values.index)
        if low is not None:
            bad |= (values < low).fillna(False).astype(bool)
        if high is not None:
            bad |= (values > high).fillna(False).astype(bool)
    else:
        return none
    return np.asarray(np.flatnonzero((bad & values.notna()).to_numpy(dtype=bool)))


def collect(
    dataset: Path,
    checks: Sequence[Check],
    tables: Tables,
    own: Mapping[int, NDArray[np.int64]] | None = None,
    codes: NDArray[np.str_] | None = None,
) -> pa.Table:
    """All findings of a dataset folder, capped per rule and head, in the order of the checks.

    Args:
        own: position of a check of the user's own → rows of its table that break it.
        codes: (observations,): languages, where they were looked at.
    """
    merged = pq.read_table(dataset / "findings.parquet", columns=COLUMNS.names).cast(COLUMNS)
    named = set(zip(merged["rule"].to_pylist(), merged["head"].to_pylist(), strict=True))
    parts = [merged]
    places: pa.Table | None = None
    for at, check in enumerate(checks):
        if check.skipped or check.problem or (check.rule, check.head) in named:
            continue
        if check.table in ("observations", "labels"):
            found = broken_rows(check, tables.frames[check.table])
        else:
            found = (own or {}).get(at, np.zeros(0, dtype=np.int64))
        if not len(found):
            continue
        kept = found[:CAP]
        if check.table == "labels":
            labels = tables.frames["labels"].iloc[kept]["label"]
            absent = f" ({check.split})" if check.rule == "labels_in_every_split" else ""
            parts.append(_table(check, values=[f"{label}{absent}" for label in labels]))
            continue
        if places is None:
            places = pq.read_table(
                dataset / "observations.parquet",
                columns=["source", "file", "line", "text_id"],
                read_dictionary=["source", "file"],
            )
        if check.table in ("dataset", "own_dataset"):
            kept = _first_rows(dataset, kept, places)
        values = _values(check, tables, kept, codes)
        parts.append(_table(check, places.take(kept), values))
    return pa.concat_tables(parts)


def _first_rows(dataset: Path, texts: NDArray[np.int64], places: pa.Table) -> NDArray[np.int64]:
    """The first input row of each text, given by its row in `dataset.parquet`."""
    ids = pq.read_table(dataset / "dataset.parquet", columns=["text_id"])["text_id"].take(texts)
    rows = pc.index_in(ids, places["text_id"].combine_chunks()).to_numpy()
    return np.sort(np.asarray(rows, dtype=np.int64))


def _values(
    check: Check, tables: Tables, at: NDArray[np.int64], codes: NDArray[np.str_] | None
) -> list[str | None]:
    """What was seen, in a word; never the text."""
    if check.rule == "text_quality":
        return [list(DAMAGE)[kind - 1] for kind in tables.damage[at].tolist()]
    if check.rule == "markup":
        return [f"HTML {list(MARKUP)[kind - 1]}" for kind in tables.markup[at].tolist()]
    if check.rule == "language" and codes is not None:
        return [str(code) for code in codes[at]]
    if check.rule in UNITS and check.column is not None:
        cells = tables.frames[check.table][check.column].iloc[at].tolist()
        return [f"{value} {UNITS[check.rule]}" for value in cells]
    return [None] * len(at)


def _table(check: Check, places: pa.Table | None = None, values: Sequence[str | None] = ()) -> pa.Table:
    rows = len(values)
    empty = [None] * rows
    return pa.table(
        {
            "rule": [check.rule] * rows,
            "source": empty if places is None else places["source"].to_pylist(),
            "file": empty if places is None else places["file"].to_pylist(),
            "line": empty if places is None else places["line"].to_pylist(),
            "head": [check.head] * rows,
            "value": list(values),
        },
        schema=COLUMNS,
    )


def examples(findings: pa.Table) -> Mapping[tuple[str, str | None], str]:
    """(rule, head) → `file:line` of the first finding that has a place; with the label, if about one."""
    first: dict[tuple[str, str | None], str] = {}
    columns = [findings[name].to_pylist() for name in ("rule", "head", "file", "line", "value")]
    for rule, head, file, line, value in zip(*columns, strict=True):
        if file is not None and line is not None:
            place = f"{Path(file).name}:{line}"
            first.setdefault((rule, head), f"{value!r} in {place}" if rule == "labels_known" else place)
    return first


def safe_cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula: a leading sign of one gets an apostrophe before it."""
    text = "" if value is None else str(value)
    risky = text.startswith(FORMULA_SIGNS) or text.lstrip().startswith(FORMULA_SIGNS)
    return f"'{text}" if risky else text


def to_csv(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV with every cell made safe; numbers are left as they are."""
    out = io.StringIO()
    # Every string quoted: the writer alone would leave a lone carriage return bare, which ends a row.
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(headers)
    for row in rows:
        writer.writerow([cell if isinstance(cell, int | float) else safe_cell(cell) for cell in row])
    return out.getvalue()


def write_findings(findings: pa.Table, out: Path) -> tuple[Path, Path]:
    """`findings.parquet` and `findings.csv` in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    parquet, text = out / "findings.parquet", out / "findings.csv"
    buffer = io.BytesIO()
    pq.write_table(findings, buffer)
    replace_file(parquet, buffer.getvalue())
    rows = zip(*(findings[name].to_pylist() for name in COLUMNS.names), strict=True)
    replace_file(text, to_csv(COLUMNS.names, rows).encode("utf-8"))
    return parquet, text


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, and a crash leaves no half."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
