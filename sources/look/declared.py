"""Whether a source can be read as it is declared: its files are there and have the columns that it names.

A small source is read whole, of a large one the first rows: what is found is wrong for certain, and the merge
finds the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from sources.errors import DataError, raise_together
from sources.formats.locate import InputFile, locate, read_lines
from sources.formats.read import read_source
from sources.formats.table import FILE, LINE
from sources.look.rows import rows_in
from sources.spec import SourceSpec

WHOLE_BYTES = 20_000_000
"""Size of a source up to which it is read whole, in bytes."""
FIRST_ROWS = 2_000
"""Rows that are read of a larger one."""

LONGEST = 2_000
"""Characters beyond which no encoder reads on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a source's files hold."""

    files: int
    rows: int
    """About how many."""
    size: int
    """In bytes."""
    chars: float
    """Characters of a text on average, those beyond `LONGEST` left aside."""


def look_at_declared(name: str, spec: SourceSpec, base: Path, heads: Collection[str]) -> Declared | None:
    """What the source's files hold; None for a hub dataset or a query, which are not asked.

    Args:
        base: what relative paths start from.
        heads: the project's.

    Raises:
        sources.formats.locate.AbsentPath: a file is not there.
        DataError: a file can't be read as declared, or lacks a column; all problems of the source at once.
    """
    if spec.path is None:
        return None
    errors: list[DataError] = []
    files: list[InputFile] = []
    for path in spec.path.values() if isinstance(spec.path, dict) else [spec.path]:
        try:
            files += locate(path, spec.format, base)
        except DataError as error:
            errors.append(error.of_source(name))
    for target in spec.targets.values():
        if target.labels_file is not None:
            try:
                read_lines(target.labels_file, base)
            except DataError as error:
                errors.append(error.of_source(name))
    size = sum(_size(file.path) for file in files)
    raise_together(errors)
    first = _first_rows(spec, files, size)
    raw = read_source(name, first, base, lambda rows: None, heads)
    lengths = raw.table.frame[raw.spec.text].str.len_chars().clip(0, LONGEST)
    known = Declared(files=len(files), rows=raw.rows_read, size=size, chars=float(lengths.mean() or 0))  # type: ignore[arg-type]
    if first.limit == spec.limit:
        return known
    # A cell may hold several lines: the first rows tell how many.
    lines = raw.table.frame.group_by(FILE).agg(pl.col(LINE).max())[LINE].sum()
    rows = int(sum(map(rows_in, files)) * raw.rows_read / max(lines, 1))
    return replace(known, rows=min(rows, spec.limit or rows))


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(inside.stat().st_size for inside in path.rglob("*") if inside.is_file())
    return path.stat().st_size


def _first_rows(spec: SourceSpec, files: Collection[InputFile], size: int) -> SourceSpec:
    """The source as far as it is read here: without its filter, which may leave nothing of the first rows."""
    spec = replace(spec, where=None)
    if size <= WHOLE_BYTES or spec.is_export:
        return spec
    spec = replace(spec, limit=min(FIRST_ROWS, spec.limit or FIRST_ROWS))
    if any(file.format == "jsonl" for file in files):
        # The first rows may lack keys that later ones have.
        spec = replace(spec, group=None, split_column=None, annotator=None, keep=())
    return spec
