"""Small made-up sources in every format, and how reading them ends: as meant, refused, remarked on, or
silent.

Texts are words that go with their labels, as in a file that somebody labelled; truth is known.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from expectations.data.gate import judge_data
from expectations.spec import DataRules
from model.spec import HeadSpec
from report.quality.sources import source_remarks
from sources.dataset import build_dataset
from sources.errors import DataError
from sources.labels.doubts import DOUBTS
from sources.spec import SourceSpec, SplitSpec
from tests.support.workbooks import write_xlsx

FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx")
"""Endings of files; `.json` holds JSON lines, too."""
TEXT_FORMATS = FORMATS[:4]
PLAIN_CELLS = ("csv", "tsv", "xlsx")
"""Formats whose cells are strings, so that a list is a JSON array in one."""
WORDS = {
    "weather": ("rain", "storm", "frost", "hail", "cloud", "wind"),
    "food": ("rice", "honey", "cheese", "apple", "milk", "bread"),
    "animal": ("cat", "horse", "goat", "duck", "sheep", "mouse"),
}
MARKS = {"cold": ("frost", "hail"), "drink": ("milk", "honey"), "pet": ("cat", "mouse")}
RULES = frozenset({*DOUBTS, "one_answer", "multiclass_exactly_one", "labels_known", "unseen_labels"})
"""Rules that are about how labels are read."""
CERTAIN = frozenset(DOUBTS[:4])
"""Those that count what was read for certain."""

Row = dict[str, Any]


def topic_rows(count: int, seed: int, labels: Mapping[str, str] | None = None) -> list[Row]:
    """Rows `text`, `topic`: one label each, all three in every hundred rows.

    Args:
        labels: how the three topics are called.
    """
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        topic = list(WORDS)[number % len(WORDS)]
        words = [rng.choice(WORDS[topic]) for _ in range(3)] + [
            rng.choice(("today", "again", "here")),
            f"n{number}",
        ]
        rows.append({"text": " ".join(words), "topic": (labels or {}).get(topic, topic)})
    return rows


def mark_rows(count: int, seed: int) -> list[Row]:
    """Rows `text`, `marks`: a list of some of three labels, in their order."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        marks = [mark for at, mark in enumerate(MARKS) if number % 7 == at or rng.random() < 0.25]
        words = [rng.choice(MARKS[mark]) for mark in marks] + [
            rng.choice(("today", "again", "here")),
            f"n{number}",
        ]
        rows.append({"text": " ".join(words), "marks": marks})
    return rows


def write(rows: Sequence[Row], path: Path, *, delimiter: str | None = None, line_end: str = "\n") -> None:
    """Rows in the format of the path's ending. In text files None is an empty cell, a list is a JSON
    array."""
    match path.suffix:
        case ".csv" | ".tsv":
            sign = delimiter or ("," if path.suffix == ".csv" else "\t")
            table = [list(rows[0]), *([_written(cell) for cell in row.values()] for row in rows)]
            if path.suffix == ".tsv":  # no quotes at all
                path.write_bytes("".join(sign.join(cells) + line_end for cells in table).encode())
                return
            out = io.StringIO()
            csv.writer(out, delimiter=sign, lineterminator=line_end).writerows(table)
            path.write_bytes(out.getvalue().encode())
        case ".xlsx":
            cells = [list(rows[0]), *([_written(cell) or None for cell in row.values()] for row in rows)]
            write_xlsx(path, {"rows": cells})
        case ".jsonl" | ".json":
            lines = (json.dumps(row, ensure_ascii=False) + line_end for row in rows)
            path.write_bytes("".join(lines).encode())
        case ".parquet" | ".arrow":
            table = pa.table({name: _column([row[name] for row in rows]) for name in rows[0]})
            if path.suffix == ".parquet":
                pq.write_table(table, path)
            else:
                pyarrow.feather.write_feather(table, path)
        case _:
            raise AssertionError(f"no writer for {path.suffix}")


def _written(cell: Any) -> str:
    if cell is None:
        return ""
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else str(cell)


def _column(cells: list[Any]) -> pa.Array:
    kinds = {type(cell) for cell in cells} - {type(None)}
    if len(kinds) > 1 and not kinds <= {int, float}:
        cells = [None if cell is None else _written(cell) for cell in cells]
    return pa.array(cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Sources on disk, and what their author meant."""

    sources: Mapping[str, SourceSpec]
    heads: Mapping[str, HeadSpec]
    meant: Mapping[str, Any]
    """Text → label or labels of the first head; a text that is not here may have any."""
    split: SplitSpec = field(default_factory=lambda: SplitSpec(near_duplicates="off"))


Ending = Literal["refused", "remarked", "as meant", "silent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How reading a project ended."""

    ending: Ending
    rules: frozenset[str] = frozenset()
    """Rules of `RULES` that remark or stop; `source` for what is said of a source."""
    said: tuple[str, ...] = ()


def read(project: Project, folder: Path, rules: DataRules | None = None) -> Read:
    """Build the dataset of a project whose files lie in `folder`, judge it, and tell how it ended.

    `as meant`: every text has the labels that were meant, whatever certain reading was counted. `remarked`:
    it has not, and a rule about labels names it. `silent`: it has not, and nothing says so.
    """
    split = project.split
    try:
        ref = build_dataset(project.sources, project.heads, split, folder, folder / "data")
    except DataError as error:
        return Read(ending="refused", said=(str(error),))
    judged = judge_data(ref.path, rules or DataRules(), ref.heads, folder / "out")
    found = [r for r in judged.results if r.check.rule in RULES and r.outcome in ("tolerated", "not met")]
    named = frozenset(r.check.rule for r in found)
    profile = json.loads((ref.path / "profile.json").read_text())
    said = (*(r.reason for r in found), *source_remarks(profile))
    if source_remarks(profile):
        named |= {"source"}
    [head, *_] = project.heads
    table = pq.read_table(ref.path / "dataset.parquet", columns=["text", f"head:{head}"]).to_pydict()
    answers = dict(zip(table["text"], table[f"head:{head}"], strict=True))
    right = all(_same(answers.get(text), labels) for text, labels in project.meant.items())
    if right:
        return Read(ending="as meant", rules=named, said=said)
    return Read(ending="remarked" if named - CERTAIN - {"source"} else "silent", rules=named, said=said)


def _same(answer: Any, meant: Any) -> bool:
    if isinstance(answer, list) and isinstance(meant, list):
        return sorted(answer) == sorted(meant)
    return bool(answer == meant)


Make = Callable[[str, Path, int], Project]
"""Writes a project in a format into a folder, drawn by a seed."""
