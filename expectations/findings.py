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
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.suite import VALUES_BETWEEN, VALUES_IN_SET, Check
from expectations.tables import DAMAGE, Tables

CAP = 1000
"""Most rows kept for one rule and head."""

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


def collect(dataset: Path, checks: Sequence[Check], tables: Tables) -> pa.Table:
    """All findings of a dataset folder, capped per rule and head, in the order of the checks."""
    merged = pq.read_table(dataset / "findings.parquet", columns=COLUMNS.names).cast(COLUMNS)
    named = set(zip(merged["rule"].to_pylist(), merged["head"].to_pylist(), strict=True))
    parts = [merged]
    places: pa.Table | None = None
    for check in checks:
        if (
            check.skipped
            or (check.rule, check.head) in named
            or check.table not in ("observations", "labels")
        ):
            continue
        found = broken_rows(check, tables.frames[check.table])
        if not len(found):
            continue
        kept = found[:CAP]
        if check.table == "labels":
            rows = tables.frames["labels"].iloc[kept]
            parts.append(_table(check, values=rows["label"].tolist()))
            continue
        if places is None:
            places = pq.read_table(
                dataset / "observations.parquet",
                columns=["source", "file", "line"],
                read_dictionary=["source", "file"],
            )
        parts.append(_table(check, places.take(kept), _values(check, tables, kept)))
    return pa.concat_tables(parts)


def _values(check: Check, tables: Tables, at: NDArray[np.int64]) -> list[str | None]:
    """What was seen, in a word; never the text."""
    if check.rule == "text_quality":
        return [list(DAMAGE)[kind - 1] for kind in tables.damage[at].tolist()]
    if check.rule in ("text_length", "multiclass_exactly_one") and check.column is not None:
        unit = "characters" if check.rule == "text_length" else "labels"
        return [f"{value} {unit}" for value in tables.frames[check.table][check.column].iloc[at].tolist()]
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
