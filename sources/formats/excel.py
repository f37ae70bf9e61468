"""Read Excel files: every cell as a string, as Excel stores it. The engine is an extra
(`headgate[excel]`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from model.suggestions import did_you_mean
from sources.errors import BadTable, Problem, UnreadableSource, one_of
from sources.formats.columnar import from_arrow
from sources.formats.table import LINE, Table, Wanted


def read_excel(file: Path, name: str, wanted: Wanted, sheet: str | None) -> Table:
    """The wanted columns of one sheet of an Excel file; a line is the sheet's row, the header being the
    first.

    Args:
        sheet: needed where several sheets hold rows.

    Raises:
        UnreadableSource: the engine is not installed, or the file is no Excel file, damaged or protected by a
            password.
        BadTable: no such sheet, several that may be meant, columns missing, no rows.
    """
    try:
        # The first sheet's types are not guessed: `007` stays as it is, and a column has one type.
        sheets = pl.read_excel(
            file,
            sheet_id=0,
            engine="calamine",
            infer_schema_length=0,
            drop_empty_rows=False,
            raise_if_empty=False,
        )
    except ImportError as error:
        seen = "Excel files are read by an engine that is not installed"
        advice = 'Install it: `pip install "headgate[excel]"`, or save the sheet as CSV.'
        raise UnreadableSource(Problem(seen, advice=advice, file=name)) from error
    except Exception as error:
        # The engine raises types of its own, and polars others, for damaged and protected files.
        seen = f"not a readable Excel file ({type(error).__name__})"
        advice = "It may be damaged or protected by a password: open and save it again, or save it as CSV."
        raise UnreadableSource(Problem(seen, "an .xlsx or .xls file", advice, file=name)) from error
    frame = _chosen(sheets, sheet, name)
    # Rows that hold nothing at all are lines of the sheet, but no rows of a table.
    numbered = frame.with_row_index(LINE, offset=2).filter(~pl.all_horizontal(pl.exclude(LINE).is_null()))
    lines = numbered[LINE].cast(pl.Int64)
    table = from_arrow(numbered.drop(LINE).to_arrow(), name, wanted)
    # An empty cell is none at all in a sheet; beside a text it means what an empty one of a CSV does.
    others = [column for column in wanted.columns if column != wanted.text]
    filled = table.frame.with_columns(pl.col(column).fill_null("") for column in others)
    return replace(table, frame=filled.with_columns(lines.head(table.frame.height).alias(LINE)))


def _chosen(sheets: dict[str, pl.DataFrame], sheet: str | None, name: str) -> pl.DataFrame:
    """The sheet that is meant."""
    if sheet is not None:
        if sheet not in sheets:
            seen = f"there is no sheet {sheet!r}{did_you_mean(sheet, sheets)}"
            raise BadTable(Problem(seen, one_of(sheets), file=name))
        return sheets[sheet]
    filled = {title: frame for title, frame in sheets.items() if frame.height}
    if len(filled) > 1:
        seen = f"{len(filled)} sheets hold rows: {', '.join(filled)}"
        raise BadTable(Problem(seen, "one", "Name the one that is meant in `sheet`.", file=name))
    if not filled:
        raise BadTable(Problem("no sheet holds rows", "a header and at least one row", file=name))
    return next(iter(filled.values()))
