"""What every reader gives: a table of strings with the place of each row. Does not know heads or splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

LINE = "__line"
"""Column of a `Table`: physical line where the row starts, or row number, from 1."""
FILE = "__file"
"""Column of a table of a whole source: the file as messages call it."""
ANNOTATOR = "__annotator"
"""Column of a `Table` whose source says who labelled each row: the person, or null."""
GIVEN = "__given"
"""Column of a table of a whole source: the split the row was given by its file or folder, or null."""

CHUNK_ROWS = 50_000
"""Rows turned into columns at a time: Python objects of one chunk are freed before the next."""

Progress = Callable[[str, int], None]
"""Called with a stage (`read`, `merge`, …) and the rows done in it so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be read from a file."""

    text: str
    """Column with the text: its cells must be strings or missing."""
    columns: tuple[str, ...]
    """All columns needed, `text` among them."""
    must_exist: frozenset[str]
    """Columns whose absence is an error even where absence of a single cell is none (JSONL)."""
    all_columns: bool = False
    """Also the others, for a row filter."""
    limit: int | None = None
    """Most rows to read, from the start."""
    objects: frozenset[str] = frozenset()
    """Columns whose cells may be objects label → score; they are read as JSON."""
    encoding: str = "auto"
    """Of a text file (`sources.formats.text_file`)."""
    scores: bool = False
    """Whether categories may have scores, as some head has a `threshold`."""
    also: frozenset[str] = frozenset()
    """Further columns that are read where they exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of one file, or of all files of a source."""

    frame: pl.DataFrame
    """`LINE` and the wanted columns as strings (null = missing); a cell that is a list is the JSON
    array of its labels. With `all_columns`, the others too, typed where the format has types."""
    lists: frozenset[str] = field(default_factory=frozenset)
    """Columns whose cells are lists."""
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Question of a labelling tool → labels that have a 0/1 column of their own; none: the answers stand in a
    column of lists that has the question's name."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was not read as a label, in words → how often."""
    said: tuple[str, ...] = ()
    """How the bytes were read where the configuration does not say it: delimiter, encoding, quoting."""
