"""What the rows of a file that was read say of one head."""

from __future__ import annotations

import json
from typing import Any

from sources.formats.read import RawSource


def answers(raw: RawSource, head: str = "topic") -> list[tuple[str | None, Any]]:
    """(Text, labels of the cell, None where it is unlabelled) of each row."""
    column = raw.spec.targets[head].column
    assert column is not None
    cells = raw.table.frame[column].to_list()
    listed = column in raw.table.lists
    return [
        (text, None if cell is None else json.loads(cell) if listed else [cell])
        for text, cell in zip(raw.table.frame[raw.spec.text], cells, strict=True)
    ]


def flags(raw: RawSource, head: str = "topic") -> list[tuple[str | None, dict[str, str]]]:
    """(Text, what is known of each label) of each row whose head has a column a label."""
    names = raw.spec.targets[head].label_of
    found = []
    for row in raw.table.frame.iter_rows(named=True):
        known = {label: row[column] for column, label in names.items() if row[column] is not None}
        found.append((row[raw.spec.text], known))
    return found
