"""Custom expectations of `extra`: their checks, the tables that they look at, what functions return there.

What is wrong with an entry becomes the check's `problem` and is never raised. No more columns are read than
an expectation names; a function is given all but the columns of single labels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.data.check import VALUES_IN_SET, VALUES_NOT_NULL, Check, TableName
from expectations.data.custom_functions import CustomRules, call
from expectations.data.tables import open_table, series
from expectations.spec import Severity
from model.spec import HeadSpec

EXTRA_KEYS = ("type", "kwargs", "severity", "tolerance", "table")
"""What an entry of `extra` may hold."""

RETURNED: Mapping[str, TableName] = {"dataset": "custom_dataset", "rows": "custom_rows"}
"""Table that a function looks at → table that its cells stand in."""

Heads = Mapping[str, HeadSpec]


def custom_check(name: str, entry: Mapping[str, Any]) -> Check:
    """The check of one entry. Where its severity cannot be read it gets the gravest, so that a slip of the
    pen never lets data through."""
    problems = [f"`{key}` is not one of {', '.join(EXTRA_KEYS)}" for key in entry if key not in EXTRA_KEYS]
    severity = entry.get("severity", "critical")
    if severity not in get_args(Severity):
        problems.append(f"`severity` is {severity!r}, expected one of {', '.join(get_args(Severity))}")
        severity = "critical"
    tolerance = entry.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1:
        problems.append(f"`tolerance` is {tolerance!r}, expected a share between 0 and 1")
        tolerance = 0.0
    table = entry.get("table", "dataset")
    if table not in ("dataset", "observations"):
        problems.append(f"`table` is {table!r}, expected `dataset` or `observations`")
        table = "dataset"
    type_ = entry.get("type")
    if not isinstance(type_, str) or not type_:
        problems.append("`type` is missing: the name of an expectation, such as " + VALUES_NOT_NULL)
        type_ = "expectation without a type"
    kwargs = entry.get("kwargs", {})
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        problems.append("`kwargs` is not a mapping from argument to value")
        kwargs = {}
    if tolerance and "mostly" not in kwargs:
        kwargs = {**kwargs, "mostly": 1.0 - tolerance}
    columns = [value for key, value in kwargs.items() if key.startswith("column")]
    return Check(
        rule=name,
        called=type_ + "".join(f"[{column}]" for column in columns[:1] if isinstance(column, str)),
        expected=type_.removeprefix("expect_").replace("_", " "),
        severity=severity,
        tolerance=float(tolerance),
        table="rows" if table == "observations" else "dataset",
        type=type_,
        kwargs=dict(kwargs),
        problem="; ".join(f"expectations.{name}: {problem}" for problem in problems) or None,
    )


def call_functions(
    checks: Sequence[Check], custom: CustomRules, dataset: Path, heads: Heads
) -> tuple[tuple[Check, ...], dict[str, pd.DataFrame]]:
    """The checks, with those that name a custom function turned into checks of what it returns, and the
    tables of what was returned."""
    tables: dict[str, pd.DataFrame] = {}
    columns: dict[TableName, dict[str, object]] = {}
    made: list[Check] = []
    for check in checks:
        if check.type not in custom.functions or check.problem is not None:
            made.append(check)
            continue
        if check.table not in tables:
            # A column for each of thousands of labels would fill the memory.
            names = [name for name in _columns(check.table, dataset, heads) if not name.startswith("label:")]
            tables[check.table] = _table(check.table, dataset, heads, names)
        arguments = {name: value for name, value in check.kwargs.items() if name != "mostly"}
        returned = call(custom, check.type, tables[check.table], arguments)
        if returned.problem is not None:
            made.append(replace(check, problem=f"expectations.{check.rule}: {returned.problem}"))
            continue
        # The same function may be called twice, with other arguments.
        column, whole = f"{check.type} ({check.rule})", returned.whole is not None
        table = "custom_answers" if whole else RETURNED[check.table]
        columns.setdefault(table, {})[column] = [returned.whole] if whole else returned.cells
        docstring = (custom.functions[check.type].__doc__ or "").strip()
        made.append(
            replace(
                check,
                type=VALUES_IN_SET,
                table=table,
                kwargs={"column": column, "value_set": [True], "mostly": 1.0 - check.tolerance},
                unit="answer" if whole else "rows",
                expected=docstring.split("\n")[0].rstrip(".") or check.expected,
            )
        )
    return tuple(made), {str(table): pd.DataFrame(cells) for table, cells in columns.items()}


def custom_tables(dataset: Path, heads: Heads, checks: Sequence[Check]) -> dict[str, pd.DataFrame]:
    """The tables that custom expectations look at by the library, with no more columns than they name."""
    wanted: dict[str, set[str]] = {}
    for check in checks:
        if check.table not in RETURNED or check.problem is not None:
            continue
        names = wanted.setdefault(check.table, set())
        known = _columns("dataset", dataset, heads)
        if check.type.startswith("expect_table_column"):
            names.update(known)
        elif not any(key.startswith("column") for key in check.kwargs) and "row_count" not in check.type:
            # A custom class may name its columns itself.
            names.update(name for name in known if not name.startswith("label:"))
            names.update(_columns(check.table, dataset, heads) if check.table == "rows" else ())
        for key, value in check.kwargs.items():
            if key.startswith("column"):
                names.update([value] if isinstance(value, str) else map(str, value))
            elif key == "row_condition":
                names.update(name for name in known if name in str(value))
    return {table: _table(table, dataset, heads, names) for table, names in wanted.items()}


def _columns(table: str, dataset: Path, heads: Heads) -> tuple[str, ...]:
    """Every column that `_table` knows: of `dataset` or of `rows`."""
    if table == "rows":
        return tuple(open_table(dataset / "observations.parquet", ["line"]).schema_arrow.names)
    names = ["text_id", "text", "split", "weight", "group"]
    for head, spec in heads.items():
        names.append(f"head:{head}")
        if spec.kind == "multilabel":
            names += [f"count:{head}", *(f"label:{head}:{label}" for label in spec.labels)]
    return tuple(names)


def _table(table: str, dataset: Path, heads: Heads, columns: Collection[str]) -> pd.DataFrame:
    """One row an input row (`rows`) or a text (`dataset`), with the named columns that exist.

    A name that does not exist is left out: the expectation that needs it then cannot be evaluated.
    """
    if table == "rows":
        file = open_table(dataset / "observations.parquet", ["line"])
        there = [name for name in file.schema_arrow.names if name in columns] or ["line"]
        return pd.DataFrame({name: series(file.read(columns=[name]).column(0)) for name in there}, copy=False)
    file = open_table(dataset / "dataset.parquet", ["split"])
    plain = [name for name in ("text_id", "text", "split", "weight", "group") if name in columns]
    made: dict[str, Any] = {name: series(file.read(columns=[name]).column(0)) for name in plain}
    for head, spec in heads.items():
        wanted = [
            name for name in columns if name.startswith((f"head:{head}", f"count:{head}", f"label:{head}:"))
        ]
        if wanted:
            cells = file.read(columns=[f"head:{head}"]).column(0).combine_chunks()
            flat = ((name, _flat(name, head, spec, cells)) for name in wanted)
            made |= {name: column for name, column in flat if column is not None}
    if not made:
        made["split"] = series(file.read(columns=["split"]).column(0))
    return pd.DataFrame(made, copy=False)


def _flat(name: str, head: str, spec: HeadSpec, cells: pa.Array) -> pd.Series[Any] | None:
    """One flat column of a head: `head:H` is the label (multilabel: labels joined by `, `), `count:H` the
    number of labels of a multilabel head, `label:H:L` whether label L applies."""
    if spec.kind == "multiclass":
        return series(cells) if name == f"head:{head}" else None
    if name == f"head:{head}":
        # Polars writes large lists, for which there is no join.
        return series(pc.binary_join(cells.cast(pa.list_(pa.string())), ", "))
    if name == f"count:{head}":
        return series(pc.list_value_length(cells))
    label = name.removeprefix(f"label:{head}:")
    if label == name or label not in spec.labels:
        return None
    holds = np.zeros(len(cells), dtype=np.bool_)
    holds[pc.filter(pc.list_parent_indices(cells), pc.equal(pc.list_flatten(cells), label)).to_numpy()] = True
    return series(pc.if_else(pc.is_valid(cells), pa.array(holds), None))
