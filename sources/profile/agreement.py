"""How far people who labelled the same texts agree: Krippendorff's alpha of each head.

Krippendorff (2011), *Computing Krippendorff's Alpha-Reliability*. Nominal for multiclass. For multilabel the
disagreement of two answers is the number of labels in which they differ, of those that both speak of. Does
not know files or texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from model.bundle.card import HeadKind
from sources.labels.target_codes import Target

Unit = Mapping[Any, int]
"""What was answered about one text → by how many."""


def krippendorff_alpha(units: Sequence[tuple[Sequence[Target], int]], kind: HeadKind) -> float | None:
    """Alpha of the answers: 1 is perfect, 0 as if by chance. None where it is not defined: no text has two
    answers, or all answers are the same.

    Args:
        units: the answers about a text (two or more), and about how many texts they were given.
    """
    if kind == "multiclass":
        counted = [(Counter(target.positives for target in answers), times) for answers, times in units]
        observed, expected = _disagreement(counted)
    else:
        labels = sorted({label for answers, _ in units for one in answers for label in one.positives})
        parts = [_disagreement([(_of_label(answers, label), n) for answers, n in units]) for label in labels]
        observed, expected = sum(part[0] for part in parts), sum(part[1] for part in parts)
    return None if expected == 0 else 1 - observed / expected


def _of_label(answers: Sequence[Target], label: str) -> Counter[bool]:
    """Whether one label applies, by those who know."""
    known = [(label in one.positives) for one in answers if label in one.positives or one.denies(label)]
    return Counter(known)


def _disagreement(units: Sequence[tuple[Unit, int]]) -> tuple[float, float]:
    """(Observed, expected) disagreement of nominal answers, over texts with two or more of them."""
    values: Counter[Any] = Counter()
    within = 0.0
    for counts, times in units:
        answers = sum(counts.values())
        if answers < 2:
            continue
        for value, count in counts.items():
            values[value] += count * times
        unequal = answers**2 - sum(count**2 for count in counts.values())
        within += times * unequal / (answers - 1)
    total = sum(values.values())
    if total < 2:
        return 0.0, 0.0
    between = total**2 - sum(count**2 for count in values.values())
    return within / total, between / (total * (total - 1))
