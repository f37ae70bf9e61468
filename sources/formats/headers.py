"""Find rows that are no labels as they stand: column names among the rows, where two files with headers were
joined, and questions that were answered by no."""

from __future__ import annotations

import polars as pl

from sources.errors import BadTable, Problem
from sources.formats.table import FILE, LINE
from sources.labels.cells import ACCEPTED, IGNORED, NO, REJECTED
from sources.spec import SourceSpec

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

ANSWER_NAMES = frozenset(
    form
    for name in ("answer", "answers", "decision", "judgement", "judgment", "verdict", "response", "status")
    for form in (name, name.title(), name.upper())
)
"""Names of columns that may say whether a label was accepted."""
_AROUND = "\ufeff \t\"'"


def refuse_headers(frame: pl.DataFrame, spec: SourceSpec) -> None:
    """Refuse a source with a row that repeats its header, or holds the header of another file.

    Raises:
        BadTable: there is such a row.
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
    advice = "Two files were joined: remove the row, or name the files one by one in `path`."
    if not spec.header:
        advice = "Remove the row, or set `header: true` if the file begins with it."
    raise BadTable(
        *(
            Problem(
                "the row holds names of columns, as a header does", "a text", advice, file=file, line=line
            )
            for file, line in found.select(FILE, LINE).iter_rows()
        )
    )


def settle_answers(frame: pl.DataFrame, spec: SourceSpec) -> tuple[str, ...]:
    """What to say of a source whose rows are questions about one label each.

    Raises:
        BadTable: some were rejected or ignored, and no head names the column that says so.
    """
    said = []
    for head, target in spec.targets.items():
        if target.answer is not None:
            no = frame.filter(_word_in(target.answer).is_in(list(NO))).height
            said.append(f"`{target.answer}` rejects the label of `{head}` on {no:,} rows")
    if said or spec.where is not None:
        return tuple(said)
    wanted = {spec.text, *(column for target in spec.targets.values() for column in target.source_columns)}
    for column in sorted(ANSWER_NAMES.intersection(frame.columns) - wanted):
        if column in (spec.group, spec.split_column, spec.annotator):
            continue
        word = _word_in(column)
        words = set(frame.select(word.unique()).to_series().drop_nulls())
        if words <= ACCEPTED | REJECTED | IGNORED and words & REJECTED:
            rows = frame.filter(word.is_in(list(REJECTED)))
            seen = f"{rows.height:,} rows reject their label, and would be read as if they gave it"
            yes = sorted(words & ACCEPTED)[:1] or ["accept"]
            where = f"`where: \"{column} = '{yes[0]}'\"`"
            advice = f"Set `{answered_by(spec, column)}`, or keep other rows by {where}."
            file, line = rows.select(FILE, LINE).row(0)
            raise BadTable(
                Problem(seen, "a head that names this column", advice, file=file, line=line, column=column)
            )
    return ()


def answered_by(spec: SourceSpec, column: str) -> str:
    """How the first head names the column that accepts or rejects its labels, ready to paste."""
    head, target = next(iter(spec.targets.items()))
    return f"heads: {{{head}: {{column: {target.column or 'COLUMN'}, answer: {column}}}}}"


def _word_in(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()


def _name_in(column: str) -> pl.Expr:
    """The cell as a column's name would be compared."""
    return pl.col(column).cast(pl.String).str.strip_chars(_AROUND).str.to_lowercase()
