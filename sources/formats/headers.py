"""Find column names among the rows: two files with headers that were joined are not one file."""

from __future__ import annotations

import polars as pl

from sources.errors import BadTable, Problem
from sources.formats.table import FILE, LINE
from sources.spec import SourceSpec

MAX_PROBLEMS = 3
"""Places named in one error."""

TEXT_NAMES = (
    *("text", "sentence", "sentences", "message", "utterance", "content", "comment", "document", "review"),
    *("tweet", "body", "description", "query", "input", "texts"),
)
"""Names that columns of texts have, in lower case."""
LABEL_NAMES = (
    *(
        "label",
        "labels",
        "class",
        "classes",
        "category",
        "categories",
        "topic",
        "topics",
        "target",
        "targets",
    ),
    *(
        "tag",
        "tags",
        "intent",
        "intents",
        "sentiment",
        "emotion",
        "emotions",
        "output",
        "marks",
        "label_text",
    ),
)
"""Names that columns of labels have, in lower case."""

_AROUND = "\ufeff \t\"'"


def refuse_headers(frame: pl.DataFrame, spec: SourceSpec) -> None:
    """Refuse a source with a row that repeats its header, or holds the header of another file.

    Raises:
        BadTable: there is such a row; the first few are named.
    """
    labels = sorted({column for target in spec.targets.values() for column in target.source_columns})
    text = _name_in(spec.text)
    own = text == spec.text.casefold()
    others = text.is_in(list(TEXT_NAMES))
    longest = max(len(spec.text.encode()), *map(len, TEXT_NAMES)) + 2 * len(_AROUND.encode())
    short = frame.filter(pl.col(spec.text).str.len_bytes() <= longest)  # few texts are as short as a name
    candidates = short.filter((own | others).fill_null(False))
    if candidates.height == 0 or not labels:
        return
    same = own & pl.all_horizontal(_name_in(column) == column.casefold() for column in labels)
    other = others & pl.all_horizontal(_name_in(column).is_in(list(LABEL_NAMES)) for column in labels)
    found = candidates.filter((same | other).fill_null(False))
    if found.height == 0:
        return
    more = f"; {found.height:,} rows in all" if found.height > MAX_PROBLEMS else ""
    advice = f"Two files were joined: remove the row, or name the files one by one in `path`{more}."
    if not spec.header:
        advice = "Remove the row, or set `header: true` if the file begins with it."
    raise BadTable(
        *(
            Problem(
                "the row holds names of columns, as a header does", "a text", advice, file=file, line=line
            )
            for file, line in found.head(MAX_PROBLEMS).select(FILE, LINE).iter_rows()
        )
    )


def _name_in(column: str) -> pl.Expr:
    """The cell as a column's name would be compared."""
    return pl.col(column).cast(pl.String).str.strip_chars(_AROUND).str.to_lowercase()
