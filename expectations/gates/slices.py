"""The accuracy gate again, on parts of the test rows: a source, a language, short texts.

A model that is as good on the whole can be worse where it matters. Each slice of each head is compared as
the whole head is, and all must pass (intersection–union, as in `expectations.gates.accuracy`). A slice with
too few rows decides nothing and says so. A label without rows in a slice is no gap there: the whole head's
comparison is what asks for rows of every label. Knows the dataset's table; does not know where columns come
from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.gates.accuracy import Further, compared_with_baselines, of_all_seeds
from expectations.gates.comparison import point_limit
from expectations.gates.head_metrics import metric_value
from expectations.gates.scores import HeadScores
from expectations.scored_rows import scored_table
from expectations.spec import GateRules, SliceRule
from expectations.verdict import Finding, Verdict
from model.spec import HeadSpec

Mask = NDArray[np.bool_]
"""`(N,)`: which test rows belong to a slice."""

MOST_NAMED = 3
"""Values that a sentence names; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TestRows:
    """What is known of the N test rows, in the order in which they were scored."""

    __test__ = False  # not a test, whatever pytest thinks of its name

    chars: NDArray[np.int64]
    """`(N,)` characters of each text."""
    columns: Mapping[str, tuple[frozenset[str], ...]]
    """Column → for each row its values: none, one, or several (sources, labels)."""

    @property
    def count(self) -> int:
        """N."""
        return int(self.chars.size)


def read_test_rows(dataset: Path, heads: Mapping[str, HeadSpec]) -> TestRows:
    """The test rows of a dataset folder, in the order of its rows folder.

    Raises:
        OSError: the dataset's table cannot be read.
    """
    table = scored_table(dataset)
    columns = {
        "source": tuple(
            frozenset(origin["source"] for origin in row) for row in table["origins"].to_pylist()
        ),
        "group": _values(table["group"].to_pylist()),
        **{head: _values(table[f"head:{head}"].to_pylist()) for head in heads},
    }
    for name in table.column_names:
        if name.startswith("column:"):
            columns.setdefault(name.removeprefix("column:"), _values(table[name].to_pylist()))
    chars = np.asarray(pc.utf8_length(table["text"]).to_numpy(), dtype=np.int64)
    return TestRows(chars=chars, columns=columns)


def _values(cells: list[str | list[str] | None]) -> tuple[frozenset[str], ...]:
    return tuple(
        frozenset() if cell is None else frozenset([cell] if isinstance(cell, str) else cell)
        for cell in cells
    )


def judge_slices(
    shared: Mapping[str, HeadScores],
    baselines: Mapping[str, HeadScores],
    rules: GateRules,
    heads: Mapping[str, HeadSpec],
    dataset: Path | None,
    further: Further | None = None,
) -> list[Verdict]:
    """One verdict for all slices; none where no slice is configured.

    Args:
        further: head → answers of its baselines of further seeds.
        dataset: the dataset folder that the scored rows came from.

    Raises:
        ValueError: slices are configured without a dataset, or its test rows are not those that were scored.
    """
    if not rules.slices:
        return []
    if dataset is None:
        raise ValueError("gates.slices: the test rows are not known; give the dataset folder")
    rows = read_test_rows(dataset, heads)
    findings: list[Finding] = []
    for rule in rules.slices:
        for head in rule.heads or tuple(heads):
            alone = of_all_seeds(head, baselines, further)
            findings += _judge_rule(rule, head, heads[head], shared.get(head), alone, rows, rules)
    return [Verdict(gate="slices", findings=tuple(findings))]


def _judge_rule(
    rule: SliceRule,
    name: str,
    head: HeadSpec,
    shared: HeadScores | None,
    baselines: Sequence[HeadScores | None],
    rows: TestRows,
    rules: GateRules,
) -> Iterator[Finding]:
    if shared is None:
        reason = f"0 answers of the shared model are there for `{name}`; run `headgate retrain` again"
        subject = f"{name}, slices by {rule.column or 'length'}"
        yield Finding(subject=subject, outcome="inconclusive", reason=reason)
        return
    if shared.targets.shape[0] != rows.count:
        raise ValueError(
            f"gates.slices: the dataset has {rows.count:,} test rows, but {shared.targets.shape[0]:,} were "
            "scored; score on the dataset that is judged"
        )
    few: dict[str, int] = {}
    judged = 0
    for called, mask, named in _masks(rule, rows, shared):
        n = int((shared.labelled & mask).sum())
        if n < rule.min_rows:
            if named:
                yield _too_few(f"{name}, {called}", n, rule)
            else:
                few[called] = n
            continue
        judged += 1
        yield from _judge_slice(f"{name}, {called}", rule, head, shared, baselines, mask, rules)
    if rule.column is not None and not rule.values and (few or not judged):
        yield from _left_out(name, rule, few, judged)


def _masks(rule: SliceRule, rows: TestRows, shared: HeadScores) -> Iterator[tuple[str, Mask, bool]]:
    """(How the slice is called, its rows, whether the rule names it)."""
    if rule.column is None:
        least, most = rule.min_chars or 0, rule.max_chars
        called = (
            f"texts of {least} to {most} characters" if most is not None else f"texts from {least} characters"
        )
        within = (rows.chars >= least) & (
            rows.chars <= (most if most is not None else rows.chars.max(initial=0))
        )
        yield called, within, True
        return
    cells = rows.columns.get(rule.column, (frozenset(),) * rows.count)
    counted = Counter(
        value for cell, known in zip(cells, shared.labelled.tolist(), strict=True) if known for value in cell
    )
    for value in rule.values or sorted(counted):
        mask = np.fromiter((value in cell for cell in cells), dtype=np.bool_, count=rows.count)
        yield f"{rule.column} = {value}", mask, bool(rule.values)


def _judge_slice(
    subject: str,
    rule: SliceRule,
    head: HeadSpec,
    shared: HeadScores,
    baselines: Sequence[HeadScores | None],
    mask: Mask,
    rules: GateRules,
) -> Iterator[Finding]:
    part = _rows(shared, mask)
    if rule.margin is not None:
        alone = [None if one is None else _rows(one, mask) for one in baselines]
        yield compared_with_baselines(subject, head, part, alone, rules, rule.margin)
    if rule.floor is not None:
        value = metric_value(part, head.primary_metric) if part.finite else float("nan")
        yield point_limit(
            f"{subject}, floor",
            head.primary_metric,
            value,
            rule.floor,
            at_least=True,
            what=f"`{subject}`",
            setting="gates.slices: floor",
        )


def _rows(scores: HeadScores, mask: Mask) -> HeadScores:
    probabilities = scores.probabilities
    return replace(
        scores,
        targets=scores.targets[mask],
        decisions=scores.decisions[mask],
        probabilities=None if probabilities is None else probabilities[mask],
        groups=None if scores.groups is None else scores.groups[mask],
        part=True,
    )


def _too_few(subject: str, n: int, rule: SliceRule) -> Finding:
    reason = (
        f"`{subject}` has {n:,} labelled test rows, too few to judge: label more, or lower "
        f"`gates.slices: min_rows` (now {rule.min_rows:,}) and accept a wider interval"
    )
    figures = {"n": n, "min_rows": rule.min_rows}
    return Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)


def _left_out(name: str, rule: SliceRule, few: Mapping[str, int], judged: int) -> Iterator[Finding]:
    """Values that the rule does not name and that have too few rows: they are named, not judged."""
    subject = f"{name}, slices by {rule.column}"
    some = ", ".join(f"{called} ({n:,})" for called, n in list(few.items())[:MOST_NAMED])
    if len(few) > MOST_NAMED:
        some += f" and {len(few) - MOST_NAMED:,} more"
    setting = f"`gates.slices: min_rows` (now {rule.min_rows:,})"
    figures = {"judged": judged, "not_judged": len(few), "min_rows": rule.min_rows}
    if not judged:
        seen = f"0 slices of `{name}` by `{rule.column}` have enough test rows to be judged"
        reason = f"{seen} ({some}): label more, or lower {setting}" if few else f"{seen}: fill in the column"
        reason += "" if few else f", or change `gates.slices: column` (now {rule.column})"
        yield Finding(subject=subject, outcome="inconclusive", reason=reason, figures=figures)
        return
    remark = (
        f"{len(few):,} slices of `{name}` have too few test rows and were not judged ({some}): label "
        f"more, or lower {setting}"
    )
    reason = f"{judged} judged; {remark}"
    yield Finding(subject=subject, outcome="pass", reason=reason, figures=figures, remark=remark)
