"""What can be wrong with data, as exceptions that name place, sight, expectation and remedy.

    DataError
    ├── UnreadableSource   the file, folder or hub dataset cannot be opened or decoded
    ├── BadTable           it can be read, but rows and columns are not as declared
    ├── BadCell            a cell of a head's column cannot be read as labels
    ├── BadLabels          the labels of a head make no sense together
    └── BadSplit           a split is empty or a row's split is unknown

Messages hold places and labels, never the text of a row: they end up in logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from model.errors import HeadgateError

MAX_SHOWN_CHARS = 40
"""Longest value quoted in a message, in characters. A longer one is likely a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and where."""

    seen: str
    """What was found there."""
    expected: str = ""
    """What should have been there."""
    advice: str = ""
    """What to do about it."""
    source: str | None = None
    """Name of the source in the configuration."""
    file: str | None = None
    line: int | None = None
    """Physical line, from 1 (text files), or row number, from 1 (others)."""
    column: str | None = None
    head: str | None = None

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (
                f"source {self.source!r}" if self.source is not None else "",
                self.file or "",
                f"line {self.line}" if self.line is not None else "",
                f"column {self.column!r}" if self.column is not None else "",
                f"head {self.head!r}" if self.head is not None else "",
            )
            if part
        )
        what = f"{where}: {self.seen}" if where else self.seen
        if self.expected:
            what += f"; expected {self.expected}"
        return f"{what}. {self.advice}" if self.advice else what


class DataError(HeadgateError):
    """Something is wrong with the data; nothing was trained. Holds every problem found at once."""

    kind = "data"

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = "\n".join(f"  {number}. {p}" for number, p in enumerate(self.problems, start=1))
        return f"{len(self.problems)} problems with the data:\n{lines}"


class UnreadableSource(DataError):
    """The file, folder or hub dataset cannot be opened or decoded."""


class BadTable(DataError):
    """It can be read, but rows and columns are not as declared."""


class BadCell(DataError):
    """A cell of a head's column cannot be read as labels."""


class BadLabels(DataError):
    """The labels of a head make no sense together: one class only, or seen only in test."""


class BadSplit(DataError):
    """A split is empty, or a row names a split that does not exist."""


def raise_together(errors: Iterable[DataError]) -> None:
    """Raise all of `errors` as one (a single one as it is); nothing if there are none.

    Raises:
        DataError: there is at least one error.
    """
    found = list(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        problems = tuple(problem for error in found for problem in error.problems)
        kinds = {type(error) for error in found}
        raise (kinds.pop() if len(kinds) == 1 else DataError)(*problems)


def shown(value: str) -> str:
    """`value` as it may be quoted in a message: short ones in full, long ones only by their length,
    since a long value is likely the text of a row."""
    return repr(value) if len(value) <= MAX_SHOWN_CHARS else f"a value of {len(value):,} characters"


def nearest(name: str, names: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the name most like `name`, else the names there are (the first 20)."""
    there = list(names)
    close = get_close_matches(name, there, n=1, cutoff=0.6) or get_close_matches(
        name.strip().casefold(), [n for n in there if n.strip().casefold() == name.strip().casefold()], n=1
    )
    if close:
        return f"Did you mean {close[0]!r}?"
    listed = ", ".join(shown(n) for n in there[:20]) + (", …" if len(there) > 20 else "")
    return f"There is: {listed or 'nothing'}."
