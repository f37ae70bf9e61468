"""Distinct answers to one head's question, numbered: rows carry the number, so that a million rows with
a hundred different answers cost a million integers.

An answer says which labels apply, which it says nothing about, and which it was asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What one labelled cell says."""

    positives: tuple[str, ...]
    """Labels that apply, sorted, each once."""
    missing: tuple[str, ...] = ()
    """Labels whose own cell was missing (`columns`), sorted."""
    asked: tuple[str, ...] | None = None
    """Labels that the cell could speak of (`columns`), sorted; None: all of the head's."""

    def unknown(self, universe: Iterable[str]) -> tuple[str, ...]:
        """Labels of `universe` that this answer says nothing about, sorted."""
        silent = set(self.missing)
        if self.asked is not None:
            silent |= set(universe) - set(self.asked)
        return tuple(sorted(silent - set(self.positives)))


class AnswerBook:
    """The answers of one head, each with a number that never changes."""

    def __init__(self) -> None:
        self._numbers: dict[Answer, int] = {}
        self._answers: list[Answer] = []

    def number(self, answer: Answer) -> int:
        """The answer's number; a new one if it has not been seen."""
        known = self._numbers.get(answer)
        if known is None:
            known = self._numbers[answer] = len(self._answers)
            self._answers.append(answer)
        return known

    @property
    def answers(self) -> Sequence[Answer]:
        """All answers, at their numbers."""
        return self._answers

    def labels(self) -> set[str]:
        """Every label that any answer names: as applying, missing or asked about."""
        found: set[str] = set()
        for answer in self._answers:
            found.update(answer.positives, answer.missing, answer.asked or ())
        return found
