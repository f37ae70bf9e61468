"""What changed in the data since the version that serves: lines of the terminal, a section of both pages.

Only what changed is listed. Labels come from the data: they are shortened here, and escaped by whoever shows
them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from expectations.changes import Changes, Renamed, RowChange
from report.page import Section, folded, join, paragraph, section, subheading, table

CHANGES_FILE = "changes.json"
"""In a run's folder: what its pages show."""
WIDTH = 80
"""Columns of a terminal."""
MOST_LABELS = 5
"""Labels that a sentence names; the others are counted."""
MOST_ROWS = 24
"""Lines of the terminal's table; the page has all."""
LONGEST = 20
"""Characters of a name that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTable:
    """What is shown of what changed; plain values, which stay with the run."""

    version: int
    """That served."""
    known: bool = True
    """Whether anything is known of its data."""
    said: Sequence[str] = ()
    """Sentences about heads, labels and test rows, the gravest first."""
    rows: Sequence[Sequence[Any]] = ()
    """What, split, rows then, rows now."""
    labels: Sequence[Sequence[str]] = ()
    """Head, label, what became of it: every one, also those that sentences count or cut short."""
    unknown: Sequence[str] = ()
    """What could not be compared."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, as `table_from_json` reads it."""
        return asdict(self)


def table_from_json(raw: Mapping[str, Any]) -> ChangeTable:
    """What `ChangeTable.to_json` gave."""
    return ChangeTable(**raw)


def change_table(found: Changes | None, version: int) -> ChangeTable:
    """The changes as they are shown; None where nothing is known of the data of `version`."""
    if found is None:
        return ChangeTable(version=version, known=False)
    return ChangeTable(
        version=version,
        said=tuple(_said(found, version)),
        rows=tuple(
            (_called(one), one.split, one.then, one.now)
            for one in (*found.splits, *found.sources, *found.heads)
        ),
        labels=tuple(_labels(found)),
        unknown=found.unknown,
    )


def change_lines(shown: ChangeTable) -> Iterator[str]:
    """Lines for a terminal."""
    title = f"changed since version {shown.version}"
    if not shown.known:
        yield from _wrapped(_not_known(shown), "  ")
        return
    if not shown.said and not shown.rows:
        yield f"  nothing in the data changed since version {shown.version}"
    elif shown.rows:
        yield f"  {title:<42}{'then':>11}{'now':>11}{'difference':>13}"
    else:
        yield f"  {title}:"
    for what, split, then, now in shown.rows[:MOST_ROWS]:
        yield f"    {f'{what}, {split}':<40}{then:>11,}{now:>11,}{now - then:>+13,}"
    if len(shown.rows) > MOST_ROWS:
        yield f"    … and {len(shown.rows) - MOST_ROWS:,} more, which the page on data quality lists"
    for sentence in shown.said:
        yield from _wrapped(sentence, "    ")
    if shown.unknown:
        yield from _wrapped(_not_known(shown), "    ")


def changes_section(shown: ChangeTable, first: Sequence[object] = ()) -> Section:
    """What changed, for a page; `first` stands before the data."""
    title = f"Changed since version {shown.version}"
    if not shown.known:
        return section(title, join(*first, paragraph(_not_known(shown))))
    parts: list[object] = [paragraph(sentence) for sentence in shown.said]
    if shown.rows:
        rows = [(what, split, then, now, f"{now - then:+,}") for what, split, then, now in shown.rows]
        parts.append(table(("Rows", "Split", "Then", "Now", "Difference"), rows, {2, 3, 4}))
    if len(shown.labels) > MOST_LABELS or any(len(label) > LONGEST for _, label, _ in shown.labels):
        labels = table(("Head", "Label", "What became of it"), shown.labels, wide={1, 2})
        parts.append(folded(f"{len(shown.labels):,} labels that came, went or were renamed", labels))
    if not parts:
        parts.append(paragraph(f"Nothing in the data changed since version {shown.version}."))
    if shown.unknown:
        parts.append(paragraph(_not_known(shown)))
    lead = f"This run's data beside those that version {shown.version}, the champion, was trained on."
    if first:
        return section(title, join(*first, subheading("Data"), paragraph(lead), *parts))
    return section(title, join(*parts), lead=lead)


def _not_known(shown: ChangeTable) -> str:
    what = ", ".join(shown.unknown) if shown.known else "what its data held"
    return f"not known for version {shown.version}: {what} (it was trained before this was kept)"


def _wrapped(sentence: str, indent: str) -> list[str]:
    return textwrap.wrap(
        sentence, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def _called(one: RowChange) -> str:
    return "all texts" if one.about == "split" else f"{one.about} {_short(one.name)}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _quoted(name: str) -> str:
    return f"`{_short(name)}`"


def _said(found: Changes, version: int) -> Iterator[str]:
    for head in found.gone_heads:
        yield f"head {_quoted(head)} is gone"
    for kind in found.kinds:
        yield f"head {_quoted(kind.head)} is {kind.now} now, and was {kind.then}"
    heads = [gone.head for gone in found.gone_labels] + [one.head for one in found.renamed]
    for head in dict.fromkeys([*heads, *(new.head for new in found.new_labels)]):
        yield from _of_head(found, head)
    for head in found.reordered:
        yield f"{_quoted(head)}: its labels stand in another order"
    for head in found.new_heads:
        yield f"head {_quoted(head)} is new"
    rows = found.test_rows
    if rows is not None:
        seen = f" ({rows.seen:,} of which version {version} was trained on)" if rows.seen else ""
        yield f"test rows: {rows.kept:,} kept, {rows.added:,} added{seen}, {rows.gone:,} gone"


def _of_head(found: Changes, head: str) -> Iterator[str]:
    """The sentences about the labels of one head."""
    gone = [
        f"{_quoted(one.label)} ({_rows(one.rows)} then"
        + (f"; {_percent(one.share)} of its texts bear {_quoted(one.now)} now" if one.now else "")
        + ")"
        for one in found.gone_labels
        if one.head == head
    ]
    renamed = [_renamed(one) for one in found.renamed if one.head == head]
    new = [f"{_quoted(one.label)} ({_rows(one.rows)})" for one in found.new_labels if one.head == head]
    for listed, one, several in (
        (gone, "label is gone", "labels are gone"),
        (renamed, "label has a new name", "labels have new names"),
        (new, "label is new", "labels are new"),
    ):
        if listed:
            more = f", and {len(listed) - MOST_LABELS:,} more" if len(listed) > MOST_LABELS else ""
            named = ", ".join(listed[:MOST_LABELS])
            yield f"{_quoted(head)}: {len(listed):,} {one if len(listed) == 1 else several}: {named}{more}"


def _renamed(one: Renamed) -> str:
    return f"{_quoted(one.old)} → {_quoted(one.new)} ({_shared(one)})"


def _shared(one: Renamed) -> str:
    return f"{round(one.share * one.compared):,} of {one.compared:,} shared texts"


def _labels(found: Changes) -> Iterator[tuple[str, str, str]]:
    for gone in found.gone_labels:
        became = f"; {_percent(gone.share)} of its texts bear {gone.now} now" if gone.now else ""
        yield gone.head, gone.label, f"gone; it had {_rows(gone.rows)}{became}"
    for one in found.renamed:
        yield (
            one.head,
            one.old,
            f"called {one.new} now: {_shared(one)} bear it",
        )
    for new in found.new_labels:
        yield new.head, new.label, f"new, with {_rows(new.rows)}"


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _percent(share: float) -> str:
    """A share that is not whole is never called 100%."""
    return f"{share:.0%}" if share == 1 or share < 0.995 else "over 99%"
