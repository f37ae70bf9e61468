"""Records inside a JSON document, as CLINC150 has them: `{"train": [["a text", "a label"], …], "val": …}`.

A record is a list (columns are positions, from `0`) or an object (columns are keys). `records` names the
way to them: `train[]`, `data.examples[]`; several ways can each have their split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sources.errors import BadTable, Problem, one_of
from sources.formats.exports.answers import Answered, Chosen, Export, labels_in, text_key, text_of
from sources.formats.exports.documents import read_items
from sources.formats.jsonl import JsonNumber
from sources.formats.table import Wanted

DEPTH = 4
"""How deep ways to records are looked for, in keys."""


def read_nested(
    file: Path, name: str, wanted: Wanted, records: str | Mapping[str, str] | None
) -> Iterator[tuple[str | None, Export]]:
    """(Split or None, its records) of one file.

    Args:
        records: the way to the records, or way → split. None: the items of an array, or the only list in an
            object; where an object holds several, each is a split of its own name.

    Raises:
        UnreadableSource: see `sources.formats.text_file`.
        BadTable: the way leads nowhere, the records are of several kinds, or which position or key holds the
            text cannot be told.
    """
    items = read_items(file, name, wanted.encoding)
    if not items:
        raise BadTable(Problem("the file has no items", "at least one", file=name))
    document = (
        items[0][1] if len(items) == 1 and isinstance(items[0][1], dict) else [item for _, item in items]
    )
    for way, split in _ways(document, records, name).items():
        place = f"{name}: {way}" if way != "[]" else name
        yield split, _export(_follow(document, way, name), place, wanted)


def _ways(document: Any, records: str | Mapping[str, str] | None, name: str) -> dict[str, str | None]:
    """Way → split of its records, or None."""
    if isinstance(records, str):
        return {records: None}
    if records:
        return dict(records)
    if isinstance(document, list):
        return {"[]": None}
    found = dict(_lists(document))
    if len(found) == 1:
        return dict.fromkeys(found)
    if not found:
        raise BadTable(Problem("the document holds no list of records", "at least one", file=name))
    if any("." in way for way in found):
        listed = ", ".join(f"{way} ({count:,})" for way, count in found.items())
        advice = "Name the one that is meant in `records`."
        raise BadTable(Problem(f"several lists may hold the records: {listed}", "one", advice, file=name))
    return {way: way.removesuffix("[]") for way in found}


def _lists(document: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """(The way to a list of lists or objects, its length) for each that is found."""
    for key, value in document.items():
        way = f"{before}{key}"
        if isinstance(value, list) and value and isinstance(value[0], list | dict):
            yield f"{way}[]", len(value)
        elif isinstance(value, dict) and depth < DEPTH:
            yield from _lists(value, f"{way}.", depth + 1)


def _follow(document: Any, way: str, name: str) -> list[Any]:
    """What is at the end of a way: keys parted by dots, `[]` for each item of a list."""
    found = [document]
    for step in way.replace("[]", ".[]").split("."):
        if step == "":
            continue
        if step == "[]":
            lists = [one for one in found if isinstance(one, list)]
            if len(lists) != len(found):
                raise _astray(way, "what is there is no list", found, name)
            found = [item for one in lists for item in one]
        else:
            inside = [one[step] for one in found if isinstance(one, dict) and step in one]
            if len(inside) != len(found):
                raise _astray(way, f"there is no {step!r}", found, name)
            found = inside
    if not way.endswith("[]") and len(found) == 1 and isinstance(found[0], list):
        found = list(found[0])
    if not found:
        raise BadTable(Problem(f"`records: {way}` holds no record", "at least one", file=name))
    return found


def _astray(way: str, seen: str, found: list[Any], name: str) -> BadTable:
    keys = one_of(dict.fromkeys(key for one in found[:100] if isinstance(one, dict) for key in one))
    return BadTable(Problem(f"`records: {way}`: {seen}", keys, file=name))


def _export(records: list[Any], name: str, wanted: Wanted) -> Export:
    kinds = {type(record) for record in records}
    if kinds == {list}:
        widths = {len(record) for record in records}
        if len(widths) > 1:
            odd = next(n for n, record in enumerate(records, 1) if len(record) != len(records[0]))
            seen = f"the record has {len(records[odd - 1])} items, and the first {len(records[0])}"
            raise BadTable(Problem(seen, "as many in each", file=name, line=odd))
        rows = [{str(at): cell for at, cell in enumerate(record)} for record in records]
        text = _position(rows, wanted.text, name)
    elif kinds == {dict}:
        rows = records
        text = text_key(rows, wanted.text, name)
    else:
        expected = "lists or objects, all of one kind"
        raise BadTable(Problem("the records are neither all lists nor all objects", expected, file=name))
    keys = dict.fromkeys(key for row in rows for key in row if key != text)
    questions = [
        key
        for key in keys
        if not any(_is_nested(row.get(key)) for row in rows)
        and any(row.get(key) not in (None, "", []) for row in rows)
    ]
    return Export(
        rows=[
            Answered(
                line=number,
                text=text_of(row.get(text), Problem("", file=name, line=number)),
                answers={q: _labels(row[q], name, number) for q in questions if row.get(q) is not None},
                others={q: row.get(q) for q in questions if not isinstance(row.get(q), list)},
            )
            for number, row in enumerate(rows, start=1)
        ],
        questions=questions,
    )


def _is_nested(value: Any) -> bool:
    """Whether a value can be no label and no list of labels."""
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(v, list | dict) for v in value)
    )


def _labels(value: Any, name: str, line: int) -> Chosen:
    return labels_in(value, Problem("", file=name, line=line))


def _position(rows: list[dict[str, Any]], asked: str, name: str) -> str:
    """The position of the text: as asked; of pairs the first, unless the second looks more like texts."""
    if asked in rows[0]:
        return asked
    expected = f"a position from 0 to {len(rows[0]) - 1}"
    advice = 'Name the position that holds the text, such as `text: "0"`.'
    if asked == "text" and len(rows[0]) == 2 and all(type(row["0"]) is str for row in rows):
        firsts, seconds = ({_key(row[at]) for row in rows} for at in ("0", "1"))
        if len(seconds) <= len(firsts):
            return "0"
        seen = "records of two items, of which the second differs more often than the first"
        raise BadTable(Problem(seen, expected, advice, file=name))
    raise BadTable(Problem(f"records of {len(rows[0])} items, and no {asked!r}", expected, advice, file=name))


def _key(value: Any) -> str:
    return value if type(value) is str else JsonNumber(value)
