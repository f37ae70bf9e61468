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

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace

from model.bundle.masking import masked
from model.errors import HeadgateError

MAX_QUOTED_CHARS = 40
"""Longest value quoted in a message, in characters. A longer one is likely a text."""
MAX_LISTED = 20
"""Most names listed in a message."""
MAX_PLACES = 3
"""Most places named of one problem; the others are counted."""


_CHARACTER = re.compile(r" at character [0-9]+")
"""Where in a line something is: the same problem may stand anywhere."""
MOST_KINDS = 12
"""Most kinds of problems told in one error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is."""

    source: str | None = None
    """Name of the source in the configuration."""
    file: str | None = None
    line: int | None = None
    """Physical line, from 1 (text files), or row number, from 1 (others)."""
    column: str | None = None
    head: str | None = None


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
    """As in `Place`."""
    column: str | None = None
    head: str | None = None
    also: tuple[Place, ...] = ()
    """Other places of the same problem: it is told once."""

    def __str__(self) -> str:
        what = f"{where}: {self.seen}" if (where := self._where()) else self.seen
        if self.expected:
            what += f"; expected {self.expected}"
        return masked(f"{what}. {self.advice}" if self.advice else what)

    @property
    def places(self) -> tuple[Place, ...]:
        """All places."""
        first = Place(source=self.source, file=self.file, line=self.line, column=self.column, head=self.head)
        return (first, *self.also)

    def of_source(self, source: str, head: str | None) -> Problem:
        """The problem with the source and, where it names none, the head."""
        also = tuple(replace(one, source=source, head=one.head or head) for one in self.also)
        return replace(self, source=source, head=self.head or head, also=also)

    def _where(self) -> str:
        """Source, files with lines, columns and heads: one of each in full, of several the first three."""
        parts = [
            _listed("source", [repr(one.source) for one in self.places if one.source is not None]),
            _files(dict.fromkeys((one.file, one.line) for one in self.places)),
            _listed("column", [repr(one.column) for one in self.places if one.column is not None]),
            _listed("head", [repr(one.head) for one in self.places if one.head is not None]),
        ]
        return ", ".join(filter(None, parts))


def _listed(kind: str, names: Sequence[str]) -> str:
    """`column 'a'`, or `21 columns, first 'a', 'b', 'c'`."""
    some = list(dict.fromkeys(names))
    if len(some) < 2:
        return f"{kind} {some[0]}" if some else ""
    return f"{len(some):,} {kind}s, first {', '.join(some[:MAX_PLACES])}"


def _files(found: Mapping[tuple[str | None, int | None], object]) -> str:
    """`a.csv, line 3`, `a.csv, 7 lines, first 3, 5, 8`, or `12 files, first a.csv line 1, …`."""
    pairs = [(file, line) for file, line in found if file is not None or line is not None]
    files = {file for file, _ in pairs}
    if len(pairs) < 2 or len(files) == 1:
        name = next(iter(files), None) or ""
        return ", ".join(filter(None, (name, _listed_lines([line for _, line in pairs if line is not None]))))
    kind = "files" if len(files) == len(pairs) else "places"
    some = (f"{file}" + ("" if line is None else f" line {line}") for file, line in pairs[:MAX_PLACES])
    return f"{len(pairs):,} {kind}, first {', '.join(some)}"


def _listed_lines(lines: Sequence[int]) -> str:
    if len(lines) < 2:
        return f"line {lines[0]}" if lines else ""
    return f"{len(lines):,} lines, first {', '.join(map(str, lines[:MAX_PLACES]))}"


def told_once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems, those that differ by their places alone as one, in the order of the first of each."""
    kinds: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike = (_CHARACTER.sub("", problem.seen), problem.expected, problem.advice)
        kinds.setdefault(alike, []).append(problem)
    return tuple(
        replace(first, also=(*first.also, *(place for one in others for place in one.places)))
        for first, *others in kinds.values()
    )


class DataError(HeadgateError):
    """Something is wrong with the data; nothing was trained. Holds every problem found at once, each told
    once however many files, rows or columns share it."""

    kind = "data"

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = told_once(problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = [f"  {number}. {p}" for number, p in enumerate(self.problems[:MOST_KINDS], start=1)]
        if (more := len(self.problems) - MOST_KINDS) > 0:
            lines.append(f"  and {more:,} more of other kinds")
        return f"{len(self.problems)} problems with the data:\n" + "\n".join(lines)

    def of_source(self, source: str, head: str | None = None) -> DataError:
        """This error, each problem with the source and, where it names none, the head."""
        return type(self)(*(problem.of_source(source, head) for problem in self.problems))


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
