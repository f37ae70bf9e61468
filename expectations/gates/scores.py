"""A model's answers for one head beside the truth, as arrays, and where they are loaded from.

Knows the scores file that `python -m model score` writes, and which test rows belong together by the
dataset's table. Does not judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bundle.card import HeadKind
from model.spec import UNLABELLED, HeadSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadScores:
    """One head's answers on all N rows of a split, labelled or not.

    Raises:
        ValueError: shapes differ, or a cell holds what its kind does not allow.
    """

    kind: HeadKind
    labels: tuple[str, ...]
    """Labels in the order of the columns and indices below."""
    targets: NDArray[np.integer[Any]]
    """multiclass `(N,)`: label index, -1 unlabelled. multilabel `(N, L)`: 1, 0, -1 unknown."""
    decisions: NDArray[np.integer[Any]]
    """multiclass `(N,)`: label index, or -1 for an answer that is none of `labels` (an older model's).
    multilabel `(N, L)`: 1 or 0."""
    probabilities: NDArray[np.floating[Any]] | None = None
    """`(N, L)`, if the file holds them. May hold non-finite values: the gate says so."""
    groups: NDArray[np.integer[Any]] | None = None
    """`(N,)` numbers from 0: rows of one group (a customer, a thread) are no independent draws. None: each
    row stands alone."""
    unseen: tuple[float, ...] = ()
    """(L,) of each label the share of its training rows that the model was fitted without; empty where it was
    fitted on all."""
    part: bool = False
    """Whether these are a part of the test rows (a slice), in which a label need not occur."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other or the kind."""
        labels, shape = len(self.labels), self.targets.shape
        expected = (shape[0], labels) if self.kind == "multilabel" and shape else shape[:1]
        if shape != expected or self.decisions.shape != shape:
            raise ValueError(
                f"{self.kind} head with {labels} labels: targets {shape} and decisions "
                f"{self.decisions.shape} do not fit; score the bundle again"
            )
        if self.probabilities is not None and self.probabilities.shape != (shape[0], labels):
            raise ValueError(
                f"probabilities {self.probabilities.shape}: expected {(shape[0], labels)}; score again"
            )
        if self.groups is not None and self.groups.shape != shape[:1]:
            raise ValueError(
                f"groups {self.groups.shape}: expected one number for each of the {shape[0]:,} rows that "
                "were scored; score on the dataset that is judged"
            )
        top = labels - 1 if self.kind == "multiclass" else 1
        lowest = -1 if self.kind == "multiclass" else 0
        for name, array, least in (
            ("targets", self.targets, UNLABELLED),
            ("decisions", self.decisions, lowest),
        ):
            if array.dtype.kind not in "iu":
                raise ValueError(f"{name} are {array.dtype}: expected integers")
            if array.size and not (least <= array.min() and array.max() <= top):
                raise ValueError(
                    f"{name} of a {self.kind} head with {labels} labels: expected {least} to {top}, "
                    f"saw {array.min()} to {array.max()}"
                )

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """`(N,)`: rows with a target for this head (multilabel: for at least one label)."""
        known = self.targets >= 0
        return np.asarray(known if self.kind == "multiclass" else known.any(axis=1))

    @property
    def finite(self) -> bool:
        """Whether every probability is a finite number; true where there are none to look at."""
        return self.probabilities is None or bool(np.isfinite(self.probabilities).all())

    def without(self, rows: NDArray[np.bool_]) -> HeadScores:
        """The same answers with the targets of `rows` (N,) taken away: they count as unlabelled.

        Raises:
            ValueError: there are other rows.
        """
        if rows.shape != self.targets.shape[:1]:
            raise ValueError(
                f"{rows.size:,} test rows are known, but {self.targets.shape[0]:,} were scored; score on the "
                "dataset that is judged"
            )
        targets = self.targets.copy()
        targets[rows] = UNLABELLED
        return replace(self, targets=targets)

    def of_labels(self, kept: NDArray[np.bool_]) -> HeadScores:
        """The answers on the labels that are `kept` (L,) alone. In a multiclass head rows of other labels
        become unlabelled, and answers of other labels become -1."""
        labels = tuple(label for label, keep in zip(self.labels, kept.tolist(), strict=True) if keep)
        targets, decisions = self.targets, self.decisions
        if self.kind == "multilabel":
            targets, decisions = targets[:, kept], decisions[:, kept]
        else:
            # One place more at the end: index -1 stays -1.
            moved = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1).astype(np.int32)
            targets, decisions = moved[targets], moved[decisions]
        probabilities = None if self.probabilities is None else self.probabilities[:, kept]
        unseen = tuple(share for share, keep in zip(self.unseen, kept.tolist(), strict=False) if keep)
        return replace(
            self,
            labels=labels,
            targets=targets,
            decisions=decisions,
            probabilities=probabilities,
            unseen=unseen,
        )

    @property
    def occurring(self) -> NDArray[np.bool_]:
        """(L,) labels that truly apply to at least one row."""
        if self.kind == "multilabel":
            return np.asarray((self.targets == 1).any(axis=0))
        return np.bincount(self.targets[self.targets >= 0], minlength=len(self.labels)) > 0

    def labelled_groups(self) -> NDArray[np.integer[Any]] | None:
        """`(n,)`: groups of the labelled rows, numbered from 0 without gaps; none where rows stand alone."""
        if self.groups is None:
            return None
        return np.asarray(np.unique(self.groups[self.labelled], return_inverse=True)[1])

    def indicators(self) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """`(n, L)` targets (1, 0, -1 unknown) and decisions (1, 0) over the labelled rows."""
        at = self.labelled
        targets, decisions = self.targets[at], self.decisions[at]
        if self.kind == "multilabel":
            return targets.astype(np.int8), decisions.astype(np.int8)
        every = np.arange(len(self.labels))
        return (targets[:, None] == every).astype(np.int8), (decisions[:, None] == every).astype(np.int8)


def load_scores(
    path: Path,
    heads: Mapping[str, HeadSpec],
    card: Mapping[str, HeadSpec] | None = None,
    *,
    called: Mapping[str, str] | None = None,
) -> dict[str, HeadScores]:
    """Answers of the heads of a scores file; heads that it lacks are left out, for the gate to see.

    Args:
        heads: kind and labels of each head, in the order of the rows that were scored.
        card: the heads of the bundle (`card_heads`), where its labels or their order differ, as an older
            model's may; its answers are brought to the order of `heads`.
        called: head → what the bundle calls it, where that differs.

    Raises:
        ValueError: an array is missing or does not fit its head; names file and head.
        OSError: the file cannot be read.
    """
    found = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name, head in heads.items():
            own = (called or {}).get(name, name)
            if f"decisions:{own}" not in arrays and (own != name or f"targets:{name}" not in arrays):
                continue
            answered = head if card is None else card.get(name, head)
            try:
                decisions, probabilities = arrays[f"decisions:{own}"], arrays.get(f"probabilities:{own}")
                if answered.kind != head.kind:
                    raise ValueError(f"the bundle answers a {answered.kind} head, expected {head.kind}")
                if answered.labels != head.labels:
                    decisions = _reorder(decisions, answered, head)
                    probabilities = None  # of other labels: no longer shares of one whole
                found[name] = HeadScores(
                    kind=head.kind,
                    labels=head.labels,
                    targets=arrays[f"targets:{name}"],
                    decisions=decisions,
                    probabilities=probabilities,
                )
            except (KeyError, ValueError) as error:
                raise ValueError(f"{path.name}, head {name!r}: {error}") from None
    return found


def answered_labels(scores: Mapping[str, HeadScores]) -> dict[str, Any]:
    """Head → `rows` and `labels` (label → rows that it was answered for), of the test rows that were
    answered: those with a label for any head."""
    asked = np.logical_or.reduce([head.labelled for head in scores.values()]) if scores else np.zeros(0, bool)
    found = {}
    for name, head in scores.items():
        decisions = head.decisions[asked]
        if head.kind == "multiclass":
            counts = np.bincount(decisions[decisions >= 0], minlength=len(head.labels))
        else:
            counts = decisions.sum(axis=0)
        labels = dict(zip(head.labels, map(int, counts), strict=True))
        found[name] = {"rows": int(asked.sum()), "labels": labels}
    return found


def _reorder(decisions: NDArray[Any], answered: HeadSpec, wanted: HeadSpec) -> NDArray[Any]:
    """Decisions in the label order of `answered`, brought to that of `wanted`; labels that `answered` lacks
    never apply. Two labels of one name, where one was renamed to the other, are one."""
    place = {label: index for index, label in enumerate(wanted.labels)}
    moves = np.array([place.get(label, -1) for label in answered.labels], dtype=np.int32)
    if wanted.kind == "multiclass":
        return np.where(decisions >= 0, moves[decisions], -1)
    moved = np.zeros((decisions.shape[0], len(wanted.labels)), dtype=np.int8)
    kept = moves >= 0
    for column in np.flatnonzero(kept):
        moved[:, moves[column]] |= decisions[:, column].astype(np.int8)
    return moved


def with_groups(
    scores: Mapping[str, HeadScores], groups: NDArray[np.integer[Any]] | None
) -> dict[str, HeadScores]:
    """The same answers, which know what rows belong together.

    Raises:
        ValueError: other rows were scored than those of the dataset.
    """
    return dict(scores) if groups is None else {n: replace(one, groups=groups) for n, one in scores.items()}


def card_heads(card: Mapping[str, Any]) -> dict[str, HeadSpec]:
    """Heads of a bundle's `card.json`, labels in the order of its outputs."""
    return {
        name: HeadSpec(kind=head["kind"], labels=tuple(head["labels"]), metric=head.get("metric"))
        for name, head in card["heads"].items()
    }
