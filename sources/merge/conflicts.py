"""One target for a text that has several for one head: agreeing ones merge, a conflict follows the policy.

Two multilabel targets are in conflict if a label applies in one and does not in the other; a label that
is unknown in one is taken from the other. Two multiclass targets are in conflict if they are not equal.

A conflict is *within* a source that contradicts itself, or *between* two sources that contradict each
other; a text may have both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum
from typing import assert_never

import polars as pl

from model.bundle.card import HeadKind
from sources.labels.target_codes import Target, TargetCodes
from sources.spec import SplitSpec

FLAGS = ("conflict", "conflict_within", "conflict_between")
"""Where a text is in conflict for a head: anywhere, within one source, between two sources."""


@dataclass(frozen=True, slots=True)
class WeightedTarget:
    """One target that one source gives to one text."""

    target: Target
    source: str
    weight: float
    """Rows with this target times the source's weight."""


def resolve_conflict(
    given: Sequence[WeightedTarget], kind: HeadKind, split: SplitSpec
) -> tuple[Target | None, bool]:
    """(The text's target, or None for unlabelled; whether those given were in conflict).

    `drop` and `error` leave a text in conflict unlabelled. `majority` takes the heaviest target
    (multilabel: label by label); a tie leaves the text (multilabel: that label) unlabelled. `prefer`
    takes the target of the first of `split.prefer` that gives one, if it does not contradict itself. `union`
    joins the labels of a multilabel head, which is no conflict; a multiclass head is left as by `drop`.
    """
    if split.conflicts == "union" and kind == "multilabel":
        return _union(given), False
    merged, in_conflict = _merged(given, kind)
    if not in_conflict:
        return merged, False
    match split.conflicts:
        case "majority":
            return merged, True
        case "prefer":
            for source in split.prefer:
                if preferred := [one for one in given if one.source == source]:
                    target, contradictory = _merged(preferred, kind)
                    return (None if contradictory else target), True
            return None, True
        case "drop" | "error" | "union":
            return None, True
        case _:
            assert_never(split.conflicts)


def _merged(given: Sequence[WeightedTarget], kind: HeadKind) -> tuple[Target | None, bool]:
    """The heaviest target, and whether there was any conflict."""
    if kind == "multilabel":
        return _merged_labels(given)
    # fsum: a tie must not depend on the order of what is given
    weights = {
        target: fsum(one.weight for one in given if one.target == target)
        for target in {one.target for one in given}
    }
    most = max(weights.values())
    heaviest = [target for target, weight in weights.items() if weight == most]
    return (heaviest[0] if len(heaviest) == 1 else None), len(weights) > 1


def _merged_labels(given: Sequence[WeightedTarget]) -> tuple[Target, bool]:
    """Label by label. Labels that no target names are left out: none applies, and they are known not to
    apply as soon as one target covers all labels."""
    named: set[str] = set()
    covered: set[str] | None = set()
    for one in given:
        named.update(one.target.positives, one.target.missing, one.target.covered or ())
        covered = None if covered is None or one.target.covered is None else covered | set(one.target.covered)
    positives, missing, in_conflict = [], [], False
    for label in sorted(named):
        yes = fsum(one.weight for one in given if label in one.target.positives)
        no = fsum(one.weight for one in given if one.target.denies(label))
        in_conflict |= yes > 0 and no > 0
        if yes == no:  # known to none, or a tie
            missing.append(label)
        elif yes > no:
            positives.append(label)
    all_covered = None if covered is None else tuple(sorted(covered))
    return Target(tuple(positives), tuple(missing), all_covered), in_conflict


def _union(given: Sequence[WeightedTarget]) -> Target:
    """All labels that any of the targets gives. A label is unknown where none of them knows it."""
    targets = [one.target for one in given]
    positives = {label for target in targets for label in target.positives}
    named = {label for target in targets for label in (*target.missing, *(target.covered or ()))}
    denied = {label for label in named if any(target.denies(label) for target in targets)}
    covers = [target.covered for target in targets]
    covered = None if None in covers else tuple(sorted({x for c in covers for x in c or ()}))
    return Target(tuple(sorted(positives)), tuple(sorted(named - positives - denied)), covered)


def conflict_scope(given: Sequence[WeightedTarget], kind: HeadKind) -> tuple[bool, bool]:
    """(Whether some source contradicts itself; whether two sources contradict each other.)"""
    if kind == "multiclass":
        by_target: dict[Target, set[str]] = {}
        for one in given:
            by_target.setdefault(one.target, set()).add(one.source)
        pairs = list(combinations(by_target.values(), 2))
    else:
        pairs = [
            (
                {one.source for one in given if label in one.target.positives},
                {one.source for one in given if one.target.denies(label)},
            )
            for label in {label for one in given for label in one.target.positives}
        ]
    within = any(left & right for left, right in pairs)
    return within, any(left and right and len(left | right) > 1 for left, right in pairs)


def resolve_conflicts(
    given: pl.DataFrame, kind: HeadKind, codes: TargetCodes, split: SplitSpec, weights: dict[str, float]
) -> pl.DataFrame:
    """The target of each text that has several; equal cases are resolved once, so the cost is that of
    the distinct ones.

    Args:
        given: `text_id`, `source`, `target` (code in `codes`), one row an input row.
        weights: source → weight of one row.

    Returns:
        `text_id`, `target` (int32, null = unlabelled), and `FLAGS`.
    """
    case = ["target", "source", "rows"]
    cases = (
        given.group_by("text_id", "target", "source")
        .agg(pl.len().alias("rows"))
        .sort("text_id", "target", "source")
        .group_by("text_id", maintain_order=True)
        .agg(case)
        .with_columns(pl.struct(case).struct.json_encode().alias("key"))
    )
    distinct = cases.unique(subset="key", maintain_order=True).select("key", *case)
    resolved: list[tuple[int | None, bool, bool, bool]] = []
    for _, numbers, sources, rows in distinct.iter_rows():
        one_case = [
            WeightedTarget(codes.targets[number], source, weights[source] * count)
            for number, source, count in zip(numbers, sources, rows, strict=True)
        ]
        target, in_conflict = resolve_conflict(one_case, kind, split)
        scope = conflict_scope(one_case, kind) if in_conflict else (False, False)
        resolved.append((None if target is None else codes.code(target), in_conflict, *scope))
    schema = {"target": pl.Int32} | dict.fromkeys(FLAGS, pl.Boolean)
    found = distinct.select("key").hstack(pl.DataFrame(resolved, schema=schema, orient="row"))
    return cases.select("text_id", "key").join(found, on="key", how="left").drop("key")
