"""What changed between two datasets: worked out by hand, and what holds for any two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.changes import (
    Changes,
    Contents,
    GoneLabel,
    HeadContents,
    Ids,
    KindChange,
    NewLabel,
    Renamed,
    RowChange,
    TestRows,
    changes,
)
from model.bundle.card import HeadKind
from model.spec import SPLITS

Rows = Mapping[int, tuple[str, str, Mapping[str, Sequence[str]]]]
"""Id of a text → split, source, head → its labels (a head that is not named leaves it unlabelled)."""


def ids(numbers: object) -> Ids:
    return np.array(sorted(numbers), dtype=np.uint64)  # type: ignore[call-overload,no-any-return]


def contents(rows: Rows, kinds: Mapping[str, HeadKind], *, sample: int | None = None) -> Contents:
    """Plain counts of rows; of each label no more than `sample` texts are kept."""
    heads = {}
    for head, kind in kinds.items():
        of_head = {at: (split, labels[head]) for at, (split, _, labels) in rows.items() if head in labels}
        labels = sorted({label for _, given in of_head.values() for label in given})
        heads[head] = HeadContents(
            kind=kind,
            labels=tuple(labels),
            labelled={split: sum(one == split for one, _ in of_head.values()) for split in SPLITS},
            counts={
                label: {
                    s: sum(s == split and label in had for split, had in of_head.values()) for s in SPLITS
                }
                for label in labels
            },
            texts={
                label: ids(at for at, (_, given) in of_head.items() if label in given)[:sample]
                for label in labels
            },
        )
    names = {source for _, source, _ in rows.values()}
    return Contents(
        heads=heads,
        rows={split: sum(one == split for one, _, _ in rows.values()) for split in SPLITS},
        sources={
            name: {split: sum((s, n) == (split, name) for s, n, _ in rows.values()) for split in SPLITS}
            for name in names
        },
        seen=ids(at for at, (split, _, _) in rows.items() if split != "test"),
        test=ids(at for at, (split, _, _) in rows.items() if split == "test"),
    )


TOPIC: dict[str, HeadKind] = {"topic": "multiclass"}


def topics(labels: Sequence[str], split: str = "train", start: int = 0, source: str = "shop") -> Rows:
    return {start + at: (split, source, {"topic": [label]}) for at, label in enumerate(labels)}


FIRST = {**topics(["tea", "rain", "rain", "sun"] * 5), **topics(["tea", "rain"], "test", 100)}
"""20 training and 2 test rows: 6 tea, 11 rain, 5 sun."""


def test_nothing_changes_between_a_dataset_and_itself() -> None:
    one = contents(FIRST, TOPIC)
    assert changes(one, one) == Changes() and changes(one, one).nothing


def test_a_label_that_vanishes_with_its_rows() -> None:
    now = {at: row for at, row in FIRST.items() if row[2]["topic"] != ["rain"]}
    found = changes(contents(FIRST, TOPIC), contents(now, TOPIC))
    assert found.gone_labels == (GoneLabel(head="topic", label="rain", rows=11),)
    assert (found.new_labels, found.renamed) == ((), ())
    assert found.splits == (
        RowChange(about="split", name="", split="train", then=20, now=10),
        RowChange(about="split", name="", split="test", then=2, now=1),
    )
    assert [(one.name, one.split, one.difference) for one in found.sources] == [
        ("shop", "train", -10),
        ("shop", "test", -1),
    ]
    assert [(one.name, one.split, one.difference) for one in found.heads] == [
        ("topic", "train", -10),
        ("topic", "test", -1),
    ]
    assert found.test_rows == TestRows(kept=1, seen=0, new=0, gone=1)


def relabelled(new: Mapping[int, str], rows: Rows = FIRST) -> Rows:
    return {at: (s, source, {"topic": [new.get(at, *had["topic"])]}) for at, (s, source, had) in rows.items()}


def with_label(label: str) -> list[int]:
    return [at for at, row in FIRST.items() if row[2]["topic"] == [label]]


def test_a_label_with_a_new_name_is_a_rename_with_the_share_of_its_texts() -> None:
    rain = with_label("rain")
    whole = contents(relabelled(dict.fromkeys(rain, "climate")), TOPIC)
    found = changes(contents(FIRST, TOPIC), whole)
    assert found == Changes(
        renamed=(Renamed(head="topic", old="rain", new="climate", share=1.0, compared=11),)
    )
    assert not found.nothing

    # Two are called something else, one has left: 8 of the 10 that are there.
    new = {**dict.fromkeys(rain[:8], "climate"), **dict.fromkeys(rain[8:10], "sun")}
    mostly = {at: row for at, row in relabelled(new).items() if at != rain[10]}
    [renamed] = changes(contents(FIRST, TOPIC), contents(mostly, TOPIC)).renamed
    assert (renamed.share, renamed.compared) == (0.8, 10)


def test_few_texts_that_are_still_there_make_no_rename() -> None:
    """One text of many says nothing; nor do some that are a small part of those that are known."""
    first = topics(["rain"] * 60 + ["sun"] * 5)
    for left, renamed in ((1, False), (9, False), (14, False), (15, True)):
        rows = {at: row for at, row in first.items() if at < left or at >= 60}
        now = relabelled(dict.fromkeys(range(left), "climate"), rows)
        found = changes(contents(first, TOPIC), contents(now, TOPIC))
        assert bool(found.renamed) == renamed, left
        assert bool(found.gone_labels) != renamed
    few = topics(["rain"] * 3 + ["sun"] * 5)
    [renamed_all] = changes(
        contents(few, TOPIC), contents(relabelled(dict.fromkeys(range(3), "wet"), few), TOPIC)
    ).renamed
    assert renamed_all.compared == 3, "all that there were"


def test_a_label_that_is_divided_evenly_is_gone_and_two_are_new() -> None:
    rain = with_label("rain")[:10]
    first = {at: row for at, row in FIRST.items() if at in rain}
    halves = relabelled({at: ("wet", "cold")[number % 2] for number, at in enumerate(rain)}, first)
    found = changes(contents(first, TOPIC), contents(halves, TOPIC))
    assert found.gone_labels == (GoneLabel(head="topic", label="rain", rows=10),)
    assert found.new_labels == (
        NewLabel(head="topic", label="cold", rows=5),
        NewLabel(head="topic", label="wet", rows=5),
    )


def test_a_label_whose_texts_bear_another_one_that_was_there_is_gone_to_it() -> None:
    now = contents(relabelled(dict.fromkeys(with_label("rain"), "sun")), TOPIC)
    [gone] = changes(contents(FIRST, TOPIC), now).gone_labels
    assert (gone.label, gone.now, gone.share) == ("rain", "sun", 1.0)


def test_two_labels_that_become_one_are_two_renames() -> None:
    new = dict.fromkeys([*with_label("rain"), *with_label("sun")], "weather")
    found = changes(contents(FIRST, TOPIC), contents(relabelled(new), TOPIC))
    assert [(one.old, one.new) for one in found.renamed] == [("rain", "weather"), ("sun", "weather")]
    assert found.new_labels == ()


def test_of_several_labels_a_text_one_that_nearly_all_bear_is_no_new_name() -> None:
    kinds: dict[str, HeadKind] = {"marks": "multilabel"}
    old: Rows = {at: ("train", "shop", {"marks": ["cold"] if at < 5 else []}) for at in range(20)}
    urgent: Rows = {at: (*row[:2], {"marks": ["urgent"]}) for at, row in old.items()}
    found = changes(contents(old, kinds), contents(urgent, kinds))
    assert found.renamed == () and [one.label for one in found.gone_labels] == ["cold"]
    frosty: Rows = {at: (*row[:2], {"marks": ["frosty"] if at < 6 else []}) for at, row in old.items()}
    [renamed] = changes(contents(old, kinds), contents(frosty, kinds)).renamed
    assert (renamed.old, renamed.new, renamed.share) == ("cold", "frosty", 1.0)
    # The same of the three texts with the lowest ids.
    [renamed] = changes(contents(old, kinds, sample=3), contents(frosty, kinds)).renamed
    assert (renamed.new, renamed.compared) == ("frosty", 3)


def test_heads_that_come_go_and_change_in_kind() -> None:
    rows: Rows = {at: ("train", "s", {"a": ["x"], "b": ["x"], "c": ["x"]}) for at in range(4)}
    before = contents(rows, {"a": "multiclass", "b": "multiclass"})
    found = changes(before, contents(rows, {"b": "multilabel", "c": "multiclass"}))
    assert (found.new_heads, found.gone_heads) == (("c",), ("a",))
    assert found.kinds == (KindChange(head="b", then="multiclass", now="multilabel"),)


def test_labels_in_another_order_are_named_by_their_head() -> None:
    one = contents(FIRST, TOPIC)
    other = replace(one.heads["topic"], labels=("tea", "rain", "sun"))
    found = changes(one, replace(one, heads={"topic": other}))
    assert found == Changes(reordered=("topic",)) and not found.nothing
    without = replace(other, labels=("rain", "sun"))
    assert not changes(one, replace(one, heads={"topic": without})).reordered


def test_test_rows_are_kept_moved_into_the_split_new_or_gone() -> None:
    before = {**topics(["a"] * 6), **topics(["a"] * 4, "test", 100)}
    now = {**topics(["a"] * 5), **topics(["a"] * 1, "test", 5), **topics(["a"] * 5, "test", 101)}
    found = changes(contents(before, TOPIC), contents(now, TOPIC)).test_rows
    assert found == TestRows(kept=3, seen=1, new=2, gone=1)
    assert (found.added, found.now) == (3, 6)


def test_what_is_not_known_of_a_version_is_named() -> None:
    now = contents(relabelled(dict.fromkeys(with_label("rain"), "climate")), TOPIC)
    then = contents(FIRST, TOPIC)
    head = then.heads["topic"]
    known = HeadContents(kind=head.kind, labels=head.labels, labelled=head.labelled, counts=head.counts)
    found = changes(Contents(heads={"topic": known}, rows=then.rows), now)
    assert found.unknown == ("rows by source", "test rows", "renamed labels")
    assert [one.label for one in found.gone_labels] == ["rain"]
    assert [one.label for one in found.new_labels] == ["climate"]
    same = changes(Contents(heads={"topic": known}, rows=then.rows), then)
    assert same.nothing and same.unknown == ("rows by source", "test rows")


KINDS: dict[str, HeadKind] = {"topic": "multiclass", "marks": "multilabel"}
MADE = st.dictionaries(
    st.integers(0, 40),
    st.tuples(
        st.sampled_from(SPLITS),
        st.sampled_from(["shop", "mail"]),
        st.fixed_dictionaries(
            {},
            optional={
                "topic": st.sampled_from("abc").map(list),
                "marks": st.sets(st.sampled_from("xyz")).map(sorted),
            },
        ),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(MADE)
def test_no_dataset_differs_from_itself(rows: Rows) -> None:
    one = contents(rows, KINDS)
    assert changes(one, one) == Changes()


@settings(deadline=None)
@given(MADE, MADE)
def test_differences_add_up(before: Rows, now: Rows) -> None:
    found = changes(contents(before, KINDS), contents(now, KINDS))
    more = len(now) - len(before)
    assert sum(one.difference for one in found.splits) == more
    assert sum(one.difference for one in found.sources) == more
    for head in KINDS:
        labelled = [sum(head in labels for _, _, labels in rows.values()) for rows in (before, now)]
        of_head = sum(one.difference for one in found.heads if one.name == head)
        assert of_head == labelled[1] - labelled[0]
        had, has = (
            {label for _, _, labels in rows.values() for label in labels.get(head, ())}
            for rows in (before, now)
        )
        gone = {one.label for one in found.gone_labels if one.head == head}
        new = {one.label for one in found.new_labels if one.head == head}
        renamed = [one for one in found.renamed if one.head == head]
        assert gone.isdisjoint({one.old for one in renamed}) and new.isdisjoint({one.new for one in renamed})
        assert gone | {one.old for one in renamed} == had - has
        assert new | {one.new for one in renamed} == has - had
        assert all(0.5 < one.share <= 1 for one in renamed)
    test = {at for at, row in now.items() if row[0] == "test"}
    former = {at for at, row in before.items() if row[0] == "test"}
    if rows := found.test_rows:
        assert (rows.now, rows.kept + rows.gone) == (len(test), len(former))
        assert (rows.kept, rows.seen) == (len(test & former), len(test & set(before) - former))
    else:
        assert test == former
