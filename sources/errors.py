"""What can be wrong with data: exceptions that name the place, what was seen and expected, and the remedy.

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
from dataclasses import KW_ONLY, dataclass, replace

from model.bundle.masking import masked
from model.errors import HeadgateError

MAX_QUOTED_CHARS = 40
"""Longest value quoted in a message, in characters. A longer one is likely a text."""
MAX_LISTED = 20
"""Most names listed in a message."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    seen: str
    """What was found there."""
    expected: str = ""
    """What should have been there."""
    advice: str = ""
    """What to do about it."""
    _: KW_ONLY
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
        return masked(f"{what}. {self.advice}" if self.advice else what)


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

    def of_source(self, source: str, head: str | None = None) -> DataError:
        """This error, each problem with the source and, where it names none, the head."""
        return type(self)(*(replace(p, source=source, head=p.head or head) for p in self.problems))


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


def quoted(value: str) -> str:
    """`value` as a message may quote it: short ones in full, long ones only by their length, since a long
    value is likely the text of a row."""
    return repr(value) if len(value) <= MAX_QUOTED_CHARS else f"a value of {len(value):,} characters"


def one_of(names: Iterable[str]) -> str:
    """`one of 'a', 'b'`: the names to choose from, the first `MAX_LISTED` of them; empty if there is none."""
    known = list(names)
    listed = ", ".join(quoted(name) for name in known[:MAX_LISTED])
    return f"one of {listed}{', …' if len(known) > MAX_LISTED else ''}" if listed else ""
