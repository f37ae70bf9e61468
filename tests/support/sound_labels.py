"""Sound files of labels of every format, which hold none of the defects."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.support.label_defects import (
    MARKED,
    MULTICLASS,
    MULTILABEL,
    NAMES,
    ROWS,
    TOPIC,
    Change,
    all_cells,
    flag_columns,
    flags,
    project_of,
)
from tests.support.label_files import PLAIN_CELLS, TEXT_FORMATS, Project, mark_rows, topic_rows, write

LABEL_SETS: tuple[dict[str, str], ...] = (
    {},
    {"weather": "Bad weather", "food": "Food & drink", "animal": "Animals, wild"},
    {"weather": "0", "food": "1", "animal": "2"},
    {"weather": "1.5", "food": "2.5", "animal": "3.0"},
    {"weather": "C++", "food": "C#", "animal": "F#"},
    {"weather": "news/weather", "food": "news/food", "animal": "sport/animal"},
    {"weather": "météo", "food": "食べ物", "animal": "животное"},
    {"weather": "☀️", "food": "🍞", "animal": "🐈"},
    {"weather": "no", "food": "yes", "animal": "maybe"},
    {"weather": "other", "food": "unknown", "animal": "none of these"},
    {"weather": "007", "food": "1e3", "animal": "0x1F"},
    {"weather": "rock-n-roll", "food": "don't know", "animal": "AT&T"},
    {"weather": "2024-01-01", "food": "2024-02-01", "animal": "2024-03-01"},
    {"weather": "[A]", "food": "(b)", "animal": "c."},
)
"""Names of labels that are as meant."""


def sound(format: str, folder: Path, seed: int) -> Project:
    """A good file of one of many kinds, drawn by the seed."""
    rng = random.Random(seed)
    line_end = rng.choice(("\n", "\r\n"))
    if rng.random() < 0.5:
        names = LABEL_SETS[seed % len(LABEL_SETS)]
        rows = topic_rows(ROWS, seed, names)
        if rng.random() < 0.5:
            for row in rows[::17]:
                row[TOPIC] = None
        meant: dict[str, Any] = {row["text"]: row[TOPIC] for row in rows}
        project = project_of(rows, meant, TOPIC, MULTICLASS, format, folder, {})
    else:
        how, spec = rng.choice(SOUND_MARKS)
        rows = mark_rows(ROWS, seed)
        meant = {row["text"]: list(row[MARKED]) for row in rows}
        if how is not None:
            how(rows, rng)
        meant = {row["text"]: row.pop("meant", meant[row["text"]]) for row in rows}
        fields = dict(spec)
        if not fields and format in PLAIN_CELLS:
            fields = {"encoding": "list"}
        project = project_of(rows, meant, MARKED, MULTILABEL, format, folder, fields)
    write(rows, folder / f"rows.{format}", line_end=line_end)
    if format in TEXT_FORMATS and rng.random() < 0.3:
        path = folder / f"rows.{format}"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return project


def _separated(by: str) -> tuple[Change, dict[str, Any]]:
    how = all_cells(lambda given: by.join(given), MARKED)
    return how, {"encoding": "separator", "separator": by.strip(), "empty_means_none": True}


SOUND_MARKS: tuple[tuple[Change | None, dict[str, Any]], ...] = (
    (None, {}),
    _separated(","),
    _separated(", "),
    _separated(";"),
    _separated("#"),
    (flags(int), {"names": NAMES}),
    (flags(float), {"names": NAMES}),
    (flag_columns({True: "1", False: "0", None: None}), {"columns": NAMES}),
)
"""Ways to write several labels, and how each is declared."""
