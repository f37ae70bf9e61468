"""The split that a source gives its rows: by the name of a dataset's part, or by a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import polars as pl

from model.spec import SplitName
from model.suggestions import did_you_mean
from sources.errors import BadSplit, Problem, one_of, quoted
from sources.formats.table import FILE, GIVEN, LINE

SplitMap = Mapping[str, SplitName | Literal["hash"]]
"""A source's own name of a split → the split, or `hash`: no split is given."""
ALIASES: SplitMap = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
"""Names of splits that mean one thing in every dataset."""

MAX_PROBLEMS = 5
"""Unknown splits named in one error."""


def named_split(
    split: str | None, split_map: SplitMap, file: str, *, alone: bool = False
) -> SplitName | None:
    """The split that a dataset's own name of a part means; None for a dataset without parts.

    Args:
        alone: the dataset has no other part: a name that is no split's then splits nothing.

    Raises:
        BadSplit: the name is neither a split nor in `split_map`.
    """
    if split is None or split == "None":
        return None
    splits = _by_name(split_map)
    if split not in splits and alone:
        return None
    if split not in splits:
        seen = f"the dataset has a split named {quoted(split)}"
        advice = f"Name its meaning: `split_map: {{{split}: validation}}`, or `hash` to have its rows split."
        raise BadSplit(Problem(seen, "train, validation or test", advice, file=file))
    found = splits[split]
    return None if found == "hash" else found


def given_by_column(frame: pl.DataFrame, column: str, split_map: SplitMap) -> pl.DataFrame:
    """`frame` with `GIVEN` from the split column; a missing or empty cell leaves the row to the hash.

    Raises:
        BadSplit: a cell is neither a split nor in `split_map`; the first few values are named.
    """
    splits = _by_name(split_map)
    cell = pl.col(column)
    given = cell.replace_strict(splits, default=None, return_dtype=pl.String)
    bad = frame.filter(cell.is_not_null() & (cell != "") & given.is_null())
    if bad.height:
        first = bad.unique(subset=[column], keep="first", maintain_order=True).head(MAX_PROBLEMS)
        raise BadSplit(
            *(
                Problem(
                    f"{quoted(value)} is not a split{did_you_mean(value, splits)}",
                    one_of(splits),
                    "Name other spellings in `split_map`.",
                    file=file,
                    line=line,
                    column=column,
                )
                for value, file, line in first.select(column, FILE, LINE).iter_rows()
            )
        )
    return frame.with_columns(pl.when(given != "hash").then(given).alias(GIVEN))


def _by_name(split_map: SplitMap) -> dict[str, SplitName | Literal["hash"]]:
    """Each name of a split → the split; `split_map` wins."""
    own: SplitMap = {name: name for name in get_args(SplitName)}
    return {**ALIASES, **own, **split_map}
