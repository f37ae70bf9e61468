"""Several targets of one text, resolved by hand."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.spec import HeadSpec
from sources.labels.target_codes import Target
from sources.merge.conflicts import WeightedTarget, conflict_scope, resolve_conflict
from sources.spec import SourceSpec, SplitSpec

A, B = Target(("a",)), Target(("b",))


def weighted(*given: tuple[Target, str, float]) -> list[WeightedTarget]:
    return [WeightedTarget(target, source, weight) for target, source, weight in given]


def test_multiclass_policies() -> None:
    given_targets = weighted((A, "x", 2.0), (B, "y", 1.0))
    assert resolve_conflict(given_targets, "multiclass", SplitSpec(conflicts="drop")) == (None, True)
    assert resolve_conflict(given_targets, "multiclass", SplitSpec(conflicts="error")) == (None, True)
    assert resolve_conflict(given_targets, "multiclass", SplitSpec(conflicts="majority")) == (A, True)
    assert resolve_conflict(
        given_targets, "multiclass", SplitSpec(conflicts="prefer", prefer=("y", "x"))
    ) == (B, True)
    assert resolve_conflict(given_targets, "multiclass", SplitSpec(conflicts="prefer", prefer=("z",))) == (
        None,
        True,
    )


def test_a_tie_is_dropped_in_any_order_of_weighted() -> None:
    # 0.1 + 0.2 + 0.3 against 0.6: equal only if the sum does not depend on its order
    split = SplitSpec(conflicts="majority")
    given_targets = weighted((A, "x", 0.1), (A, "y", 0.2), (A, "z", 0.3), (B, "w", 0.6))
    assert len({resolve_conflict(order, "multiclass", split) for order in permutations(given_targets)}) == 1


def test_a_preferred_source_that_contradicts_itself_is_dropped() -> None:
    given_targets = weighted((A, "x", 1.0), (B, "x", 1.0), (B, "y", 1.0))
    assert resolve_conflict(given_targets, "multiclass", SplitSpec(conflicts="prefer", prefer=("x",))) == (
        None,
        True,
    )


def test_partial_multilabel_answers_complete_each_other() -> None:
    one = Target(("a",), ("b",), ("a", "b"))
    other = Target(("b",), (), ("b", "c"))
    merged = Target(("a", "b"), (), ("a", "b", "c"))
    assert resolve_conflict(weighted((one, "x", 1), (other, "y", 1)), "multilabel", SplitSpec()) == (
        merged,
        False,
    )
    assert merged.unknown(("a", "b", "c", "d")) == ("d",)


def test_an_answer_about_all_labels_denies_what_it_does_not_name() -> None:
    partial, whole = Target(("a",), (), ("a",)), Target(("b",))
    assert resolve_conflict(weighted((partial, "x", 1), (whole, "y", 1)), "multilabel", SplitSpec()) == (
        None,
        True,
    )


def test_multilabel_majority_is_by_label_and_a_tied_label_is_unknown() -> None:
    given_targets = weighted(
        (Target(("a", "b")), "x", 2.0), (Target(("a", "c")), "y", 2.0), (Target(("a",)), "z", 1.0)
    )
    answer, in_conflict = resolve_conflict(given_targets, "multilabel", SplitSpec(conflicts="majority"))
    assert in_conflict
    assert answer == Target(("a",))
    tied, _ = resolve_conflict(given_targets[:2], "multilabel", SplitSpec(conflicts="majority"))
    assert tied == Target(("a",), ("b", "c"))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_agreement_is_no_conflict(kind: str) -> None:
    assert resolve_conflict(weighted((A, "x", 1), (A, "y", 1)), kind, SplitSpec()) == (A, False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "within", "between"),
    [
        (weighted((A, "x", 2), (A, "y", 1)), False, False),
        (weighted((A, "x", 1), (B, "x", 1)), True, False),
        (weighted((A, "x", 1), (B, "y", 1)), False, True),
        (weighted((A, "x", 1), (B, "x", 1), (B, "y", 1)), True, True),
    ],
)
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_where_a_conflict_is(given: list[WeightedTarget], within: bool, between: bool, kind: str) -> None:
    assert conflict_scope(given, kind) == (within, between)  # type: ignore[arg-type]


def test_a_label_that_one_source_was_not_asked_about_is_no_conflict_between_them() -> None:
    one, other = Target(("a",), (), ("a",)), Target(("b",), (), ("b",))
    assert conflict_scope(weighted((one, "x", 1), (other, "y", 1)), "multilabel") == (False, False)


@pytest.mark.parametrize(
    ("split", "answer"),
    [
        (SplitSpec(conflicts="drop"), None),
        (SplitSpec(conflicts="error"), None),
        (SplitSpec(conflicts="majority"), "y"),  # b weighs 3, a and c weigh 1 each
        (SplitSpec(conflicts="prefer", prefer=("c", "b")), "x"),
        (SplitSpec(conflicts="prefer", prefer=("b", "c")), "y"),
    ],
    ids=lambda value: f"{value.conflicts} {value.prefer}" if isinstance(value, SplitSpec) else str(value),
)
def test_three_files_that_disagree(split: SplitSpec, answer: str | None, build: Any, tmp_path: Path) -> None:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        (tmp_path / f"{name}.csv").write_text(f"text,h\nagreed,x\nfought over,{label}\nof {name} alone,y\n")
    sources = {
        name: SourceSpec(
            path=f"{name}.csv", split="train", heads={"h": "h"}, weight=3.0 if name == "b" else 1.0
        )
        for name in ("a", "b", "c")
    }
    built = build(sources, {"h": HeadSpec(kind="multiclass")}, split, filler={"h": ["x", "y"]})
    answers = built.answers("h")
    assert (answers["agreed"], answers["fought over"], answers["of c alone"]) == ("x", answer, "y")
    assert built.profile["conflicts"] == {"h": 1}
    found = built.table("findings").filter(pl.col("rule") == "one_answer")
    assert found.select("source", "file", "line", "head").rows() == [
        ("a", "a.csv", 3, "h"),
        ("b", "b.csv", 3, "h"),
        ("c", "c.csv", 3, "h"),
    ]
    joined = built.table("dataset").filter(pl.col("text") == "agreed")["origins"].to_list()[0]
    assert joined == [{"source": name, "line": 2} for name in ("a", "b", "c")]
