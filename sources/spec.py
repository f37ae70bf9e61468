"""Where texts and labels come from: plain dataclasses, part of the YAML schema (stdlib only).

Each closed set of options is declared once, here, and so is every check of a declaration that needs no file.
Does not know how files are read (`sources.formats.read`) or joined (`sources.merge.join`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from model.spec import SCHEMA_CONFIG, Range, Share, SplitName
from model.suggestions import did_you_mean

FileFormat = Literal["csv", "tsv", "jsonl", "parquet", "arrow", "excel"]
"""How one file is read, as its ending says."""
ExportFormat = Literal[
    "label_studio", "doccano", "prodigy", "argilla", "spacy", "fasttext", "label_text", "json"
]
"""Files of tools that people label with, which say themselves where text and labels are (docs/formats.md)."""
SourceFormat = Literal["auto", FileFormat, ExportFormat, "saved", "hub"]
"""How a source is read: by the files' endings, as one format, as a saved folder, from the hub."""
CellEncoding = Literal["auto", "label", "list", "separator", "letters", "columns"]
AnnotatorPolicy = Literal["majority", "each", "first"]
ConflictPolicy = Literal["error", "drop", "majority", "prefer", "union"]
NearDuplicatePolicy = Literal["report", "remove", "off"]


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Name of an environment variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """Where one head's label lives in one source, and how a cell is to be read.

    A missing cell means *unlabelled*; an empty list (or an empty string under `separator` and
    `letters` when `empty_means_none` is set) means *no label applies*.
    """

    __pydantic_config__ = SCHEMA_CONFIG

    column: str | None = None
    """The column that holds the label or labels; in the file of a labelling tool the question's name, which
    may be left out where it is the head's or the file asks one question."""
    columns: dict[str, str] | tuple[str, ...] | None = None
    """Several 0/1 columns, one a label: a list (the column's name is the label) or column → label.
    A missing cell leaves that one label unknown."""
    encoding: CellEncoding = "auto"
    """How a cell is written. `label`: one label. `list`: a list (JSON array where the file has only
    strings). `separator`: labels between `separator`. `letters`: one-letter codes, `BIL`.
    `columns`: set by `columns`. `auto`: `columns` if given, a list where the file has lists, else
    `label`."""
    separator: str = ","
    """Between labels, with `encoding: separator`."""
    map: dict[str, str] = field(default_factory=dict)
    """Label as written → label as meant. Labels not named stay as they are."""
    labels_file: str | None = None
    """Text file with one label a line; a cell then holds line numbers, from 0. `${VARIABLE}` as in
    `path`."""
    drop: tuple[str, ...] = ()
    """Labels (after `map`) to forget: multilabel drops the label, multiclass leaves the row unlabelled."""
    empty_means_none: bool = False
    """Read an empty string as *no label applies* instead of *unlabelled* (multilabel)."""
    missing: tuple[str, ...] = ()
    """Words that mean *unlabelled*, as written: `[nan, N/A, "-1"]`. In a list they are left out; a list of
    nothing else is unlabelled."""
    names: tuple[str, ...] = ()
    """Labels by position, for cells that are lists of flags: `[1, 0, 1]` under `names: [cold, drink, pet]`
    means cold and pet."""
    threshold: float | None = None
    """For cells that give a score to each label, `{"cold": 0.9, "pet": 0.2}` (or, with `names`, a list of
    scores; in `columns`, each label's own; in `cats` of spaCy and Prodigy): labels with at least this score
    apply."""
    answer: str | None = None
    """For files with one row a question: the column that says whether the label in `column` was accepted.
    `accept`, `yes`, `true`, `1`: it applies; `reject`, `no`, `false`, `0`: it does not; `ignore`, `skip` or
    nothing: the row is unlabelled. Nothing is known of the other labels."""

    @property
    def label_of(self) -> dict[str, str]:
        """Column of the source → label that it speaks of, where each label has a column of its own."""
        return dict(self.columns) if isinstance(self.columns, dict) else {c: c for c in self.columns or ()}

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Columns of the source that the target is read from."""
        own = (self.column,) if self.column is not None else tuple(self.columns or ())
        return own if self.answer is None else (*own, self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One file, folder, glob or hub dataset with texts and labels for some of the heads."""

    __pydantic_config__ = SCHEMA_CONFIG

    path: str | dict[SplitName, str] | None = None
    """File, folder or glob, relative to the configuration; `${VARIABLE}` is replaced from the
    environment. A mapping split → path gives the splits."""
    hub: str | None = None
    """Hub dataset by name, instead of `path`."""
    hub_config: str | None = None
    """Configuration (subset) of the hub dataset."""
    revision: str | None = None
    """Branch, tag or commit of the hub dataset."""
    data_files: str | tuple[str, ...] | dict[str, str | tuple[str, ...]] | None = None
    """Which files of the hub dataset's repository: paths or patterns (`en/*.parquet`), or split → such."""
    data_dir: str | None = None
    """Which folder of the hub dataset's repository holds its files."""
    streaming: bool = False
    """Read a hub dataset row by row instead of downloading it first; with `limit` only as much as is
    needed."""
    sql: str | None = None
    """A query whose rows are the source's, instead of `path`: `SELECT text, topic FROM tickets ORDER BY
    id`."""
    connection: str | None = None
    """Name of the environment variable that holds the address of the database, as SQLAlchemy writes it. The
    address itself is a secret and never stands here."""
    format: SourceFormat = "auto"
    """`auto` goes by the file's ending, `.gz` removed. `saved`: a folder from `save_to_disk`. `label_studio`,
    `doccano`, `prodigy`, `argilla`, `spacy`, `fasttext`, `label_text` (a label, a blank, a text) and `json`
    (records inside a document): files that say themselves where text and labels are, so that `heads` may be
    left out."""
    records: str | dict[str, SplitName] | None = None
    """With `format: json`, the way to the records: `train[]`, `data.examples[]`; or way → split. In records
    that are lists, `text` and `column` are positions, from `"0"`."""
    sheet: str | None = None
    """Sheet of an Excel file; needed where several hold rows."""
    annotator: str | None = None
    """Column that names who labelled the row. Files of labelling tools name it themselves."""
    annotators: AnnotatorPolicy = "majority"
    """Several people labelled one text. `majority`: the label that most gave (multilabel: label by label),
    a tie is unlabelled. `first`: whoever stands first. `each`: a row a person; `split.conflicts` decides."""
    encoding: str = "auto"
    """How a text file's bytes are read: a codec of Python (`cp1252`, `utf-16`, `mac_roman`). `auto`: UTF-8,
    or what a byte-order mark names; other bytes are refused with their line and a guess."""
    delimiter: str | None = None
    """What stands between the cells of a CSV or TSV, one character. Default: the comma or tab of the ending,
    a first line `sep=;`, or another one (comma, tab, `;`, `|`) if only it gives the columns; which is
    said."""
    header: bool = True
    """Whether a CSV or TSV begins with column names."""
    names: tuple[str, ...] = ()
    """Column names of a CSV or TSV without a header."""
    quoting: bool | None = None
    """Whether `"` quotes cells. Default: yes for CSV, no for TSV unless its header is quoted."""
    text: str = "text"
    """The column that holds the text."""
    heads: dict[str, str | TargetSpec] = field(default_factory=dict)
    """Head → where its label lives; a plain string is `column`. Heads not named are unlabelled here."""
    split: SplitName | None = None
    """All rows belong to this split."""
    split_column: str | None = None
    """Column that names each row's split. An empty cell leaves the row to the hash."""
    split_map: dict[str, SplitName | Literal["hash"]] = field(default_factory=dict)
    """Value of `split_column`, or a dataset's own split name → split, for other names (`holdout: test`);
    `hash` leaves the rows to the hash. `val`, `valid`, `dev`, `training` and `testing` are known."""
    group: str | None = None
    """Column whose equal values (an author, a ticket) stay in one split, in all sources that name a
    group. An empty cell is no group."""
    keep: tuple[str, ...] = ()
    """Further columns to carry into the dataset (`column:NAME`), so that the gates can look at slices of the
    test rows (`gates.slices`): a language, a channel. Of rows with one text the smallest value counts."""
    where: str | None = None
    """Row filter, an SQL condition on this source's columns: `CAST(length AS INT) > 3 AND lang = 'en'`.
    Columns of text files are strings, so numbers need the CAST; text and label columns are strings in
    every format."""
    limit: Annotated[int, Range(ge=1)] | None = None
    """Most rows read, from the start and before `where`; for each path of a mapping split → path."""
    weight: Annotated[float, Range(gt=0)] = 1.0
    """Factor of this source's rows in the loss and in a `majority` vote."""
    optional: bool = False
    """Leave the source out, with a line in the report, when its file is absent."""

    @property
    def is_export(self) -> bool:
        """Whether the files say themselves where text and labels are."""
        return self.format in get_args(ExportFormat)

    @property
    def targets(self) -> dict[str, TargetSpec]:
        """Head → its target in long form: a plain string is the `column`."""
        return {
            head: TargetSpec(column=target) if isinstance(target, str) else target
            for head, target in self.heads.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec:
    """How rows without a given split are split, by a hash of text (or group): stable, so that added
    rows never move old ones. A head whose rows are all given, none of them for validation (or test),
    gets that split carved out of its training rows by a hash, in the same share."""

    __pydantic_config__ = SCHEMA_CONFIG

    validation: Share = 0.1
    """Share of rows for choosing epochs and thresholds."""
    test: Share = 0.2
    """Share of rows for the gates. Larger than usual: the gate's certainty comes from these rows."""
    seed: int = 17
    """Seed of the hash. Changing it moves every row."""
    conflicts: ConflictPolicy = "drop"
    """One text, two different labels for one head. `drop`: that head is unlabelled there.
    `majority`: the heaviest label (multilabel: label by label), a tie is dropped. `prefer`: the first
    of `prefer`. `union`: of a multilabel head all labels that any row gives apply, as in files with one row a
    label; of a multiclass head as `drop`. `error`: kept as `drop`, and any conflict is critical."""
    prefer: tuple[str, ...] = ()
    """Sources in order of trust, with `conflicts: prefer`."""
    near_duplicates: NearDuplicatePolicy = "report"
    """Texts that are almost equal across splits: count and list them (up to 2,000,000 texts), remove them
    from the earlier of train < validation < test so that test rows stay, or do not look."""
    near_duplicate_similarity: Share = 0.9
    """Jaccard similarity of character 5-grams (lower case, punctuation left aside) from which two texts
    are near-duplicates."""


def source_problems(source: SourceSpec, heads: Collection[str]) -> Iterator[str]:
    """What is wrong with the declaration of one source, a line each: `FIELD: what is wrong; the remedy`.

    Args:
        heads: names of the heads of the project.
    """
    expected = ", ".join(sorted(heads))
    if sum(given is not None for given in (source.path, source.hub, source.sql)) != 1:
        yield "path: give exactly one of `path`, `hub` and `sql`"
    elif source.format == "hub" and source.hub is None:
        yield "format: a path is not a hub dataset; name the dataset in `hub` instead of `path`"
    if source.hub is not None and source.is_export:
        yield f"format: `{source.format}` is for files; write the dataset with save_to_disk and set `path`"
    if source.streaming and source.hub is None:
        yield "streaming: only a hub dataset is streamed; name it in `hub`, or remove this"
    for name, given in (("data_files", source.data_files), ("data_dir", source.data_dir)):
        if given is not None and source.hub is None:
            yield f"{name}: says which files of a hub dataset; name it in `hub`, or choose files in `path`"
    yield from _sql_problems(source)
    if source.records is not None and source.format != "json":
        yield f"records: `format: {source.format}` has no way to records; set `format: json`"
    if not source.heads and not source.is_export:
        yield f"heads: the source labels no head; expected at least one of {expected}"
    for head, target in source.targets.items():
        at = f"heads.{head}"
        if head not in heads:
            yield f"{at}: no such head{did_you_mean(head, heads)}; expected one of {expected}"
        elif (target.column is None) == (target.columns is None) and not (
            source.is_export and target.column is None
        ):
            yield f"{at}: give exactly one of `column` and `columns`"
        elif target.encoding == "separator" and not target.separator:
            yield f"{at}.separator: it is empty; give what stands between two labels"
        elif target.encoding == "columns" and target.columns is None:
            yield f"{at}.encoding: `columns` is for several 0/1 columns; name them in `columns`"
        elif target.columns is not None and target.names:
            yield f"{at}.columns: `names` is for one `column` that holds flags or scores by position"
        elif target.answer is not None and (source.is_export or target.column is None):
            yield f"{at}.answer: it belongs to one `column` of a table, whose labels it accepts or rejects"
        elif target.answer is not None and (target.names or target.threshold is not None):
            yield f"{at}.answer: `names` and `threshold` are for flags and scores; remove one of the two"
        elif target.names and target.encoding in ("label", "columns"):
            yield f"{at}.names: `encoding: {target.encoding}` has no positions; remove one of the two"
        elif len(set(target.names)) != len(target.names):
            yield f"{at}.names: a label stands at two positions"
    if sum((source.split is not None, source.split_column is not None, isinstance(source.path, dict))) > 1:
        yield "split: it is given in several ways; keep one of `split`, `split_column`, split paths"
    if not source.header and not source.names:
        yield "names: `header: false` without `names`; a file without a header needs the names of its columns"
    if source.delimiter is not None and (len(source.delimiter) != 1 or source.delimiter in '"\r\n'):
        yield f"delimiter: saw {source.delimiter!r}, expected one character, such as `;` or a tab"
    if source.encoding != "auto" and not _is_text_codec(source.encoding):
        yield f"encoding: Python knows no text encoding {source.encoding!r}; for instance cp1252 or utf-16"
    if source.header and source.names:
        yield "names: the file has a header of its own; remove `names` or set `header: false`"


def _sql_problems(source: SourceSpec) -> Iterator[str]:
    if source.sql is None:
        if source.connection is not None:
            yield "connection: there is no `sql` to ask; name the query"
        return
    if source.format != "auto":
        yield f"format: `{source.format}` is for files; a query has none"
    if source.connection is None or not _VARIABLE.fullmatch(source.connection):
        # What stands there may be the address itself, with its password: it is not repeated.
        yield (
            "connection: it has to be the name of an environment variable that holds the database's address, "
            "such as TICKETS_DB; the address itself does not belong here"
        )


def split_problems(split: SplitSpec, sources: Collection[str]) -> Iterator[str]:
    """As `source_problems`, of the `split` section; `sources` are the names of the project's sources."""
    for name in split.prefer:
        if name not in sources:
            yield f"prefer: no source {name!r}{did_you_mean(name, sources)}"
    if split.conflicts == "prefer" and not split.prefer:
        yield "prefer: it is empty, but `conflicts: prefer` needs the sources in order of trust"


def _is_text_codec(name: str) -> bool:
    """Whether text can be decoded by this name: `rot13` and `base64` are no text encodings."""
    try:
        b"a".decode(name)
    except LookupError:
        return False
    except UnicodeError:  # it is known, and needs more bytes
        return True
    return True
