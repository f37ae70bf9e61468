"""The target of one head for one text, and codes for distinct targets: rows carry the code, so that a million
rows with a hundred different targets cost a million integers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """The labels of one head for one text: which apply, which are unknown, which the cell could name."""

    positives: tuple[str, ...]
    """Labels that apply, sorted, each once."""
    missing: tuple[str, ...] = ()
    """Labels whose own cell was missing (`columns`), sorted."""
    covered: tuple[str, ...] | None = None
    """Labels that have a cell of their own (`columns`), sorted; None: all of the head's."""

    def unknown(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Those of `labels` of which it is not known whether they apply, sorted."""
        unknown = set(self.missing)
        if self.covered is not None:
            unknown |= set(labels) - set(self.covered)
        return tuple(sorted(unknown - set(self.positives)))

    def denies(self, label: str) -> bool:
        """Whether it is known that the label does not apply."""
        if label in self.positives or label in self.missing:
            return False
        return self.covered is None or label in self.covered

    def renamed(self, names: Mapping[str, str]) -> Target:
        """The target with other names for some labels."""

        def of(labels: Iterable[str]) -> tuple[str, ...]:
            return tuple(sorted({names.get(label, label) for label in labels}))

        covered = None if self.covered is None else of(self.covered)
        return Target(of(self.positives), of(self.missing), covered)

    def without(self, labels: Collection[str]) -> Target:
        """The target with some labels left out of those that apply."""
        kept = tuple(label for label in self.positives if label not in labels)
        return Target(kept, self.missing, self.covered)


class TargetCodes:
    """The distinct targets of one head, each with a code that never changes."""

    def __init__(self) -> None:
        self._codes: dict[Target, int] = {}
        self._targets: list[Target] = []

    def code(self, target: Target) -> int:
        """The target's code; a new one if the target is new."""
        code = self._codes.setdefault(target, len(self._targets))
        if code == len(self._targets):
            self._targets.append(target)
        return code

    @property
    def targets(self) -> Sequence[Target]:
        """All targets, at their codes."""
        return self._targets
