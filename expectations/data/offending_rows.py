"""Offending rows as data: rule, source, file, line, head and a short value, never the text.

Rows that the merge already named (`findings.parquet` of the dataset folder) are kept; for the other rules
they are found here from the tables that were judged. Capped per rule and head; the true totals stand in the
results.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, Check, CheckResult, Counted
from expectations.data.tables import Tables
from model.files import replacing, write_bytes

CAP = 1000
"""Most rows kept for one rule and head."""

ROW_TABLES = ("observations", "labels", "custom_dataset", "custom_rows")
"""Tables whose offending rows are found here; those of `dataset` and `rows` only the library knows."""

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
"""Columns of `findings.parquet` and `findings.csv`."""

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings that a spreadsheet takes for a formula (OWASP, "CSV Injection")."""


def with_rows(result: CheckResult, frames: Mapping[str, pd.DataFrame]) -> CheckResult:
    """The result with the rows of its table that break it, where they can be told from its column."""
    column = result.check.column
    if not result.count or result.rows is not None or result.check.table not in ROW_TABLES:
        return result
    frame = frames[result.check.table]
    return replace(result, rows=_broken(result.check, frame[column])) if column in frame.columns else result


def count_rows(checks: Sequence[Check], rows: pd.DataFrame) -> dict[int, Counted]:
    """Position of a check about input rows → how many of its cells break it. Whether that are too many is for
    the library to say; a column that is not there, or can't be counted, is left to it, too.

    Args:
        rows: the table `observations`.
    """
    counted = {}
    for at, check in enumerate(checks):
        ours = check.table == "observations" and check.skipped is None and check.problem is None
        if ours and check.column in rows.columns and check.type in (VALUES_IN_SET, VALUES_BETWEEN):
            values = rows[check.column]
            there = values.notna().to_numpy()
            missing = len(there) - int(np.count_nonzero(there))
            counted[at] = Counted(cells=len(there), missing=missing, rows=_broken(check, values))
    return counted


def _broken(check: Check, values: pd.Series) -> NDArray[np.int64]:
    """Positions of the values that break the check; missing values never do."""
    if check.type == VALUES_IN_SET:
        expected = list(check.kwargs["value_set"])
        if expected in ([True], [False]) and isinstance(values.dtype, pd.BooleanDtype | np.dtypes.BoolDType):
            # A missing cell is taken for one that is fine.
            cells = (
                values.to_numpy(dtype=bool, na_value=expected[0]) if values.hasnans else values.to_numpy(bool)
            )
            return np.flatnonzero(cells != expected[0])
        bad = ~values.isin(expected)
    elif check.type == VALUES_BETWEEN:
        bad = pd.Series(False, index=values.index)
        if (low := check.kwargs.get("min_value")) is not None:
            bad |= (values < low).fillna(False).astype(bool)
        if (high := check.kwargs.get("max_value")) is not None:
            bad |= (values > high).fillna(False).astype(bool)
    else:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(np.flatnonzero((bad & values.notna()).to_numpy(dtype=bool)))


def offending_rows(dataset: Path, results: Sequence[CheckResult], tables: Tables) -> pa.Table:
    """The offending rows of a dataset folder, capped per rule and head, in the order of the checks."""
    merged = pq.read_table(dataset / "findings.parquet", columns=COLUMNS.names).cast(COLUMNS)
    named = set(zip(merged["rule"].to_pylist(), merged["head"].to_pylist(), strict=True))
    parts = [merged]
    places: pa.Table | None = None
    for result in results:
        check = result.check
        if result.rows is None or not len(result.rows) or (check.rule, check.head) in named:
            continue
        kept = result.rows[:CAP]
        if check.table == "labels":
            labels = tables.frames["labels"].iloc[kept]["label"]
            split = f" ({check.split})" if check.split in ("validation", "test") else ""
            parts.append(_table(check, [f"{label}{split}" for label in labels]))
            continue
        if places is None:
            by_text = any(one.check.table in ("dataset", "custom_dataset") for one in results)
            places = pq.read_table(
                dataset / "observations.parquet",
                columns=["source", "file", "line", *(["text_id"] if by_text else [])],
                read_dictionary=["source", "file"],
            )
        if check.table in ("dataset", "custom_dataset"):
            kept = _first_rows(dataset, kept, places)
        parts.append(_table(check, _values(check, tables, kept), places.take(kept)))
    return pa.concat_tables(parts)


def _first_rows(dataset: Path, texts: NDArray[np.int64], places: pa.Table) -> NDArray[np.int64]:
    """The first input row of each text, given by its row in `dataset.parquet`."""
    ids = pq.read_table(dataset / "dataset.parquet", columns=["text_id"])["text_id"].take(texts)
    rows = pc.index_in(ids, places["text_id"].combine_chunks()).to_numpy()
    return np.sort(np.asarray(rows, dtype=np.int64))


def _values(check: Check, tables: Tables, rows: NDArray[np.int64]) -> list[str | None]:
    """What was seen in each row, in a word; never the text."""
    column = check.column or ""
    if column in tables.kinds:
        return tables.kinds[column].of(rows)
    if check.value_unit:
        cells = tables.frames[check.table][column].iloc[rows].tolist()
        return [f"{value} {check.value_unit}" for value in cells]
    return [None] * len(rows)


def _table(check: Check, values: Sequence[str | None], places: pa.Table | None = None) -> pa.Table:
    rows = len(values)
    columns = {"rule": [check.rule] * rows, "head": [check.head] * rows, "value": list(values)}
    for name in ("source", "file", "line"):
        columns[name] = [None] * rows if places is None else places[name].to_pylist()
    return pa.table(columns, schema=COLUMNS)


MOST_EXAMPLES = 3
"""Rows that a sentence names."""

Examples = Mapping[tuple[str, str | None], Sequence[tuple[str, int, str]]]
"""(rule, head) → file, line and value of the first rows that have a place, at most `MOST_EXAMPLES`."""


def examples(offending: pa.Table) -> Examples:
    """The rows that sentences name."""
    first: dict[tuple[str, str | None], list[tuple[str, int, str]]] = {}
    columns = [offending[name].to_pylist() for name in ("rule", "head", "file", "line", "value")]
    for rule, head, file, line, value in zip(*columns, strict=True):
        found = first.setdefault((rule, head), [])
        if file is not None and line is not None and len(found) < MOST_EXAMPLES:
            found.append((Path(file).name, line, value))
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


def write_table(table: pa.Table, out: Path, name: str) -> tuple[Path, Path]:
    """`NAME.parquet` and `NAME.csv` in the folder `out`, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    parquet, text = out / f"{name}.parquet", out / f"{name}.csv"
    with replacing(parquet) as file:
        pq.write_table(table, file)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    write_bytes(text, to_csv(table.column_names, rows).encode("utf-8"))
    return parquet, text
