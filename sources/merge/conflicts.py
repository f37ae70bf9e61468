"""What a text's several answers to one head come to: agreeing ones merge, differing ones are settled.

Two multilabel answers differ if one says that a label applies and the other that it does not; a label
that one says nothing about is taken from the other. Two multiclass answers differ if they are not equal.

A conflict is *within* a source that contradicts itself, or *between* two sources that contradict each
other; a text may be both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum

import polars as pl

from model.spec import HeadKind
from sources.labels.answers import Answer, AnswerBook
from sources.spec import SplitSpec


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer that one source gives to one text, and how often."""

    answer: Answer
    source: str
    weight: float
    """Rows with this answer times the source's weight."""


def settle(votes: Sequence[Vote], kind: HeadKind, split: SplitSpec) -> tuple[Answer | None, bool]:
    """(The one answer, or None for unlabelled; whether the votes were in conflict).

    `drop` and `error` leave a text in conflict unlabelled. `majority` takes the heaviest answer
    (multilabel: label by label); a tie leaves the text (multilabel: that label) unlabelled. `prefer`
    takes what the first of `split.prefer` that voted says, if it agrees with itself.
    """
    merged, in_conflict = _merged(votes, kind)
    if not in_conflict:
        return merged, False
    match split.conflicts:
        case "majority":
            return merged, True
        case "prefer":
            for source in split.prefer:
                if own := [vote for vote in votes if vote.source == source]:
                    answer, still = _merged(own, kind)
                    return (None if still else answer), True
            return None, True
        case _:
            return None, True


def _merged(votes: Sequence[Vote], kind: HeadKind) -> tuple[Answer | None, bool]:
    """The heaviest answer, and whether there was any conflict."""
    if kind == "multiclass":
        # fsum: a tie must not depend on the order of votes
        weights = {
            answer: fsum(vote.weight for vote in votes if vote.answer == answer)
            for answer in {vote.answer for vote in votes}
        }
        best = max(weights.values())
        heaviest = [answer for answer, weight in weights.items() if weight == best]
        return (heaviest[0] if len(heaviest) == 1 else None), len(weights) > 1
    return _merged_labels(votes)


def _merged_labels(votes: Sequence[Vote]) -> tuple[Answer, bool]:
    """Label by label. Labels that no answer names need no look: no vote says that they apply, and they
    are known not to as soon as one vote was asked about all labels."""
    named: set[str] = set()
    for vote in votes:
        named.update(vote.answer.positives, vote.answer.missing, vote.answer.asked or ())
    asks = [vote.answer.asked for vote in votes]
    asked = None if None in asks else tuple(sorted({label for ask in asks for label in ask or ()}))
    positives, missing, in_conflict = [], [], False
    for label in sorted(named):
        yes = fsum(vote.weight for vote in votes if label in vote.answer.positives)
        no = fsum(vote.weight for vote in votes if _denies(vote.answer, label))
        in_conflict |= yes > 0 and no > 0
        if yes == no:  # nobody knows, or a tie
            missing.append(label)
        elif yes > no:
            positives.append(label)
    return Answer(tuple(positives), tuple(missing), asked), in_conflict


def _denies(answer: Answer, label: str) -> bool:
    """Whether the answer says that the label does not apply."""
    if label in answer.positives or label in answer.missing:
        return False
    return answer.asked is None or label in answer.asked


def places_of_conflict(votes: Sequence[Vote], kind: HeadKind) -> tuple[bool, bool]:
    """(Whether some source contradicts itself; whether two sources contradict each other.)"""
    if kind == "multiclass":
        by_answer: dict[Answer, set[str]] = {}
        for vote in votes:
            by_answer.setdefault(vote.answer, set()).add(vote.source)
        pairs = list(combinations(by_answer.values(), 2))
    else:
        pairs = [
            (
                {vote.source for vote in votes if label in vote.answer.positives},
                {vote.source for vote in votes if _denies(vote.answer, label)},
            )
            for label in {label for vote in votes for label in vote.answer.positives}
        ]
    within = any(one & other for one, other in pairs)
    return within, any(one and other and len(one | other) > 1 for one, other in pairs)


def settle_texts(
    votes: pl.DataFrame, kind: HeadKind, book: AnswerBook, split: SplitSpec, weights: dict[str, float]
) -> pl.DataFrame:
    """The answer of each text that has several.

    Args:
        votes: `text_id`, `source`, `answer` (number in `book`), one row an input row.
        weights: source → weight of one row.

    Returns:
        `text_id`, `answer` (int32, null = unlabelled), `conflict`, and where it is: `within` a source,
        `between` sources. Texts with the same votes are settled once, so the cost is that of the
        distinct votes.
    """
    ballots = (
        votes.group_by("text_id", "answer", "source")
        .agg(pl.len().alias("rows"))
        .sort("text_id", "answer", "source")
        .group_by("text_id", maintain_order=True)
        .agg("answer", "source", "rows")
    )
    key = ["answer", "source", "rows"]
    spelt = ballots.with_columns(pl.struct(key).struct.json_encode().alias("key"))
    settled: list[int | None] = []
    flags: list[tuple[bool, bool, bool]] = []
    distinct = spelt.unique(subset="key", maintain_order=True).select("key", *key)
    for _, numbers, sources, rows in distinct.iter_rows():
        cast = [
            Vote(book.answers[number], source, weights[source] * count)
            for number, source, count in zip(numbers, sources, rows, strict=True)
        ]
        answer, in_conflict = settle(cast, kind, split)
        settled.append(None if answer is None else book.number(answer))
        flags.append((in_conflict, *(places_of_conflict(cast, kind) if in_conflict else (False, False))))
    found = distinct.select(
        "key",
        pl.Series("settled", settled, dtype=pl.Int32),
        *(
            pl.Series(name, [flag[at] for flag in flags], dtype=pl.Boolean)
            for at, name in enumerate(("conflict", "within", "between"))
        ),
    )
    return spelt.join(found, on="key", how="left").select(
        "text_id", pl.col("settled").alias("answer"), "conflict", "within", "between"
    )
