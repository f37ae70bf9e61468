"""What was found before a run, and the error that it makes where it stops the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from model.errors import ErrorKind, HeadgateError

State = Literal["ok", "remark", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """What was looked at, in a word: a source, `encoder`, `port`."""
    says: str
    """What was seen, and what to do."""
    state: State = "ok"
    kind: ErrorKind = "usage"
    """Of a problem: whether the configuration, the data or something else is to be corrected."""


class NotReady(HeadgateError):
    """A run would be stopped later; the message holds every problem."""

    kind: ClassVar[ErrorKind] = "usage"

    def __init__(self, problems: Sequence[Finding]) -> None:
        self.problems = tuple(problems)
        lines = [one.says for one in problems]
        said = (
            lines[0]
            if len(lines) == 1
            else f"{len(lines)} problems, nothing was started:\n"
            + "\n".join(f"  {number}. {line}" for number, line in enumerate(lines, start=1))
        )
        super().__init__(said)


class DataNotReady(NotReady):
    """As above, and nothing but data is wrong: schedulers tell the two apart by the exit code."""

    kind: ClassVar[ErrorKind] = "data"


class OthersNotReady(NotReady):
    """As above, and nothing but a service elsewhere is down."""

    kind: ClassVar[ErrorKind] = "other"


def not_ready(problems: Sequence[Finding]) -> NotReady:
    """The error that problems make."""
    match {one.kind for one in problems}:
        case kinds if kinds == {"data"}:
            return DataNotReady(problems)
        case kinds if kinds == {"other"}:
            return OthersNotReady(problems)
        case _:
            return NotReady(problems)


def refuse_problems(found: Sequence[Finding]) -> None:
    """Return if nothing that was found stops a run.

    Raises:
        NotReady: something does.
    """
    if problems := [one for one in found if one.state == "problem"]:
        raise not_ready(problems)
