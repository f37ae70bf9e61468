"""What changed since the champion, as it is shown: only that, in 80 columns, escaped on the page."""

from __future__ import annotations

import json

from expectations.changes import (
    Changes,
    GoneLabel,
    KindChange,
    NewLabel,
    Renamed,
    RowChange,
    TestRows,
)
from report.changes import change_lines, change_table, changes_section, table_from_json

NASTY = '<img src=x onerror="alert(1)">' + "x" * 60
SOME = Changes(
    splits=(RowChange(about="split", name="", split="train", then=9000, now=8100),),
    sources=(RowChange(about="source", name="mail", split="train", then=900, now=0),),
    heads=(RowChange(about="head", name="topic", split="test", then=608, now=1_234_567),),
    new_heads=("urgency",),
    gone_heads=("marks",),
    kinds=(KindChange(head="tone", then="multiclass", now="multilabel"),),
    reordered=("mood",),
    new_labels=(NewLabel(head="topic", label="sport", rows=1),),
    gone_labels=(
        GoneLabel(head="topic", label="defect", rows=2160),
        GoneLabel(head="topic", label="rust", rows=40, now="dent", share=0.975),
    ),
    renamed=(
        Renamed(head="topic", old="weather", new="climate", share=1.0, compared=200),
        Renamed(head="topic", old="sea", new="coast", share=0.999, compared=1200),
    ),
    test_rows=TestRows(kept=1210, seen=124, new=300, gone=100),
)


def test_a_terminal_shows_what_changed_and_nothing_else() -> None:
    assert list(change_lines(change_table(SOME, 3))) == [
        "  changed since version 3                          then        now   difference",
        "    all texts, train                              9,000      8,100         -900",
        "    source mail, train                              900          0         -900",
        "    head topic, test                                608  1,234,567   +1,233,959",
        "    head `marks` is gone",
        "    head `tone` is multilabel now, and was multiclass",
        "    `topic`: 2 labels are gone: `defect` (2,160 rows then), `rust` (40 rows",
        "      then; 98% of its texts bear `dent` now)",
        "    `topic`: 2 labels have new names: `weather` → `climate` (200 of 200 shared",
        "      texts), `sea` → `coast` (1,199 of 1,200 shared texts)",
        "    `topic`: 1 label is new: `sport` (1 row)",
        "    `mood`: its labels stand in another order",
        "    head `urgency` is new",
        "    test rows: 1,210 kept, 424 added (124 of which version 3 was trained on),",
        "      100 gone",
    ]


def test_no_change_is_one_line() -> None:
    assert list(change_lines(change_table(Changes(), 12))) == [
        "  nothing in the data changed since version 12"
    ]
    assert (
        "Nothing in the data changed since version 12." in changes_section(change_table(Changes(), 12)).html
    )


def test_what_is_not_known_is_said() -> None:
    older = Changes(unknown=("rows by source", "test rows"))
    assert list(change_lines(change_table(older, 2))) == [
        "  nothing in the data changed since version 2",
        "    not known for version 2: rows by source, test rows (it was trained before",
        "      this was kept)",
    ]
    whole = " ".join(one.strip() for one in change_lines(change_table(None, 2)))
    assert whole == "not known for version 2: what its data held (it was trained before this was kept)"
    assert "not known for version 2" in changes_section(change_table(None, 2)).html


def test_many_and_long_names_stay_within_the_terminal_and_whole_on_the_page() -> None:
    many = Changes(
        heads=tuple(
            RowChange(about="head", name=f"{at}{NASTY}", split="validation", then=10**7, now=1)
            for at in range(60)
        ),
        gone_labels=tuple(GoneLabel(head="topic", label=f"{at}{NASTY}", rows=at) for at in range(30)),
    )
    shown = change_table(many, 3)
    lines = list(change_lines(shown))
    assert max(map(len, lines)) <= 80 and len(lines) < 40
    assert any("and 36 more" in line for line in lines)
    assert "and 25 more" in " ".join(" ".join(lines).split())
    page = changes_section(shown).html
    assert NASTY not in page and page.count("&lt;img src=x onerror=") >= 30
    assert "30 labels that came, went or were renamed" in page


def test_the_page_of_a_release_shows_what_was_kept_with_the_run() -> None:
    shown = change_table(SOME, 3)
    kept = table_from_json(json.loads(json.dumps(shown.to_json())))
    page = changes_section(kept).html
    assert page == changes_section(shown).html
    assert "came, went or were renamed" not in page, "the sentences name them all"
    for text in (
        "Changed since version 3",
        "-900",
        "+1,233,959",
        "`weather` → `climate`",
        "1,210 kept",
    ):
        assert text in page
