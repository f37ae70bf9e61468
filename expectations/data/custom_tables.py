"""The tables that the user's own expectations look at, and what their functions say of them.

Reads no more columns than an expectation names; a function is given all but the columns of single labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.data.check import VALUES_IN_SET, Check, TableName
from expectations.data.custom_rules import OwnRules, ask
from expectations.data.findings import broken_rows
from expectations.data.gx import Evaluation
from expectations.data.tables import flat_columns, flat_dataset, flat_observations, observation_columns
from model.spec import HeadSpec

OWN: Mapping[str, TableName] = {"dataset": "own_dataset", "rows": "own_rows"}
"""Table that a function looks at → table that its answers stand in."""


def ask_own(
    checks: Sequence[Check], own: OwnRules, dataset: Path, heads: Mapping[str, HeadSpec]
) -> tuple[tuple[Check, ...], dict[str, pd.DataFrame]]:
    """The checks, with those that name a function of the user's own turned into checks of its answers, and
    the tables of these answers."""
    tables: dict[str, pd.DataFrame] = {}
    answers: dict[str, dict[str, object]] = {}
    made: list[Check] = []
    for check in checks:
        if check.type not in own.functions or check.problem is not None:
            made.append(check)
            continue
        if check.table not in tables:
            tables[check.table] = _whole(check.table, dataset, heads)
        arguments = {name: value for name, value in check.kwargs.items() if name != "mostly"}
        said = ask(own, check.type, tables[check.table], arguments)
        if said.problem is not None:
            made.append(replace(check, problem=f"expectations.{check.rule}: {said.problem}"))
            continue
        # The same function may be asked twice, with other arguments.
        column, table = f"{check.type} ({check.rule})", OWN[check.table]
        if said.whole is not None:
            table = "own_answers"
            answers.setdefault(table, {})[column] = [said.whole]
        else:
            answers.setdefault(table, {})[column] = said.cells
        made.append(
            replace(
                check,
                type=VALUES_IN_SET,
                table=table,
                kwargs={"column": column, "value_set": [True], "mostly": 1.0 - check.tolerance},
                unit="rows" if said.whole is None else "answer",
                expected=_sentence(own.functions[check.type].__doc__) or check.expected,
            )
        )
    return tuple(made), {table: pd.DataFrame(columns) for table, columns in answers.items()}


def _sentence(docstring: str | None) -> str:
    """The first line of a docstring, without its full stop."""
    return (docstring or "").strip().split("\n")[0].rstrip(".")


def _whole(table: str, dataset: Path, heads: Mapping[str, HeadSpec]) -> pd.DataFrame:
    if table == "rows":
        return flat_observations(dataset, observation_columns(dataset))
    # A column for each of thousands of labels would fill the memory.
    return flat_dataset(dataset, heads, [c for c in flat_columns(heads) if not c.startswith("label:")])


def own_rows(
    checks: Sequence[Check], evaluations: Sequence[Evaluation], frames: Mapping[str, pd.DataFrame]
) -> dict[int, NDArray[np.int64]]:
    """Position of a check of the user's own → rows of its table that break it, where there are any.

    Args:
        evaluations: one for each check that is not skipped, in their order.
        frames: the tables of `ask_own`.
    """
    found: dict[int, NDArray[np.int64]] = {}
    said = iter(evaluations)
    for at, check in enumerate(checks):
        if check.skipped is not None:
            continue
        evaluation = next(said)
        if check.table in ("own_dataset", "own_rows") and check.problem is None:
            found[at] = broken_rows(check, frames[check.table])
        elif evaluation.rows is not None:
            found[at] = evaluation.rows
    return found


def own_tables(
    dataset: Path, heads: Mapping[str, HeadSpec], checks: Sequence[Check]
) -> dict[str, pd.DataFrame]:
    """The tables that the user's own expectations ask for, with no more columns than they name."""
    asked: dict[str, set[str]] = {}
    for check in checks:
        if check.table not in ("dataset", "rows") or check.problem is not None:
            continue
        names = asked.setdefault(check.table, set())
        if check.type.startswith("expect_table_column"):
            names.update(flat_columns(heads))
        elif not any(key.startswith("column") for key in check.kwargs) and "row_count" not in check.type:
            # A class of the user's own may name its columns itself.
            names.update(c for c in flat_columns(heads) if not c.startswith("label:"))
            names.update(observation_columns(dataset) if check.table == "rows" else ())
        for key, value in check.kwargs.items():
            if key.startswith("column"):
                names.update([value] if isinstance(value, str) else map(str, value))
            elif key == "row_condition":
                names.update(name for name in flat_columns(heads) if name in str(value))
    made: dict[str, pd.DataFrame] = {}
    if "dataset" in asked:
        made["dataset"] = flat_dataset(dataset, heads, asked["dataset"])
    if "rows" in asked:
        made["rows"] = flat_observations(dataset, asked["rows"])
    return made
