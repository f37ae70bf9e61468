"""What each column beside the text may be: a head's labels, the split, a group, or nothing to learn from.

A guess by names and values, with the reason in words. Does not know other files (`sources.look.heads`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from model.bundle.texts import WHITE_SPACE
from model.spec import HeadKind, SplitName
from sources.formats.given_split import ALIASES
from sources.formats.headers import LABEL_NAMES
from sources.labels.cells import CellError, CellReader
from sources.labels.doubts import MISSING_WORDS, joined_labels
from sources.look.values import FURTHER, is_flag, kind_of_values, splits_in
from sources.merge.identity import look_alike_labels
from sources.spec import TargetSpec

Role = Literal["head", "split", "group", "unused"]

MOST_LABELS = 300
"""Different labels beyond which a column is taken for something else."""
LEAST_REPEATS = 4.0
"""Rows that a label has on average, below which a column is taken for something else."""
LEAST_JOINED = 0.01
"""Share of the cells that hold several labels, from which a separator is taken for one."""
SPARSE = 0.5
"""Share of empty cells up to which an empty cell of several labels is taken for "no label applies"."""

_META = re.compile(
    r"(^|_)(lang|language|locale|country|region|channel|source|origin|date|time|created|updated|at|version|"
    r"annotator|worker|rater|author|user|username|customer|thread|conversation|session|url|link|email|name|title)$"
)
"""Ends of names of columns that are about a text and no question about it."""
_GROUP = re.compile(r"(author|user|customer|thread|conversation|session|ticket|account)(_?id)?$")
_IDS = re.compile(r"(^|_)(id|uuid|guid|key|index|idx|number|no|nr)$|^(row|rows|unnamed.*)?$")
_NO_LABEL = MISSING_WORDS - {"none", "nil", "undefined", "_", ".", "..."}
"""Words that are never a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What one column, or several 0/1 columns together, may be."""

    name: str
    """The column; of several the name that they have in common."""
    role: Role
    why: str = ""
    """In words, for whoever is asked."""
    unsure: bool = False
    """Whether somebody should be asked."""
    kind: HeadKind = "multiclass"
    target: TargetSpec = field(default_factory=TargetSpec)
    """How a head's labels are read."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label → rows."""
    split_map: Mapping[str, SplitName] = field(default_factory=dict)
    """Names of splits that are not known → what they are taken for."""


def guess_columns(
    frame: pl.DataFrame, lists: Iterable[str], text: str, heads: Collection[str] = ()
) -> list[Column]:
    """The columns of a file, in its order; 0/1 columns that belong together are one.

    Args:
        frame: all rows; cells are strings, lists JSON arrays (`sources.formats.table.Table`).
        lists: columns whose cells are lists.
        text: column that holds the text, which is left out.
        heads: columns that are known to hold a head's labels; no other is one then.
    """
    found = _guessed(frame, lists, text, heads)
    if heads:
        return [c if c.role != "head" else _settled(c, is_head=c.name in heads) for c in found]
    return found


def _settled(column: Column, *, is_head: bool) -> Column:
    return replace(column, unsure=False, role="head" if is_head else "unused")


def _guessed(frame: pl.DataFrame, lists: Iterable[str], text: str, known: Collection[str]) -> list[Column]:
    names = [column for column in frame.columns if column != text and not column.startswith("__")]
    listed = frozenset(lists)
    flags = [
        c
        for c in names
        if c not in listed and c not in known and not _IDS.search(c.casefold()) and is_flag(frame[c])
    ]
    found: list[Column] = []
    if len(flags) > 1:
        found += [_of_flags(frame, name, columns) for name, columns in _families(flags).items()]
        names = [name for name in names if name not in flags]
    for name in names:
        read = _of_lists if name in listed else _of_cells
        found.append(read(frame[name], name, known=name in known))
    heads = [column for column in found if column.role == "head"]
    if len(heads) == 1 and not _META.search(heads[0].name.casefold()):
        return [replace(c, unsure=False) if c is heads[0] else c for c in found]
    return found


def _families(flags: list[str]) -> dict[str, list[str]]:
    """Name → 0/1 columns whose names begin alike; `labels` for those that do not."""
    prefixes = Counter(prefix for flag in flags if (prefix := _prefix(flag)))
    families: dict[str, list[str]] = {}
    for flag in flags:
        prefix = _prefix(flag)
        families.setdefault(prefix if prefixes[prefix] == len(flags) and prefix else "labels", []).append(
            flag
        )
    return families


def _prefix(column: str) -> str:
    head, sign, rest = (
        re.split(r"([_:.\-/])", column, maxsplit=1)[:3]
        if re.search(r"[_:.\-/]", column)
        else (column, "", "")
    )
    return head if sign and rest and head.casefold() not in ("is", "has") else ""


def _of_flags(frame: pl.DataFrame, name: str, columns: list[str]) -> Column:
    """Several 0/1 columns as one head: multiclass where each row has exactly one."""
    ones = frame.select(
        pl.col(c).str.strip_chars().str.to_lowercase().is_in(["1", "1.0", "true"]) for c in columns
    )
    known = frame.select(pl.all_horizontal(pl.col(c).is_null() | (pl.col(c) == "") for c in columns).not_())
    rows = ones.select(pl.sum_horizontal(pl.all().cast(pl.Int32))).to_series().filter(known.to_series())
    one_each = rows.len() > 0 and bool((rows == 1).all())
    cut = len(name) + 1 if name != "labels" and all(c.startswith(name) for c in columns) else 0
    labels = {column[cut:]: int(ones[column].fill_null(False).sum()) for column in columns}
    as_mapping = {column: column[cut:] for column in columns}
    target = TargetSpec(columns=as_mapping if cut else tuple(columns))
    why = f"{len(columns)} columns of 0 and 1" + (", exactly one 1 a row" if one_each else "")
    kind: HeadKind = "multiclass" if one_each else "multilabel"
    return Column(name=name, role="head", why=why, kind=kind, target=target, labels=labels)


def _of_lists(cells: pl.Series, name: str, *, known: bool) -> Column:
    counts = _counts(cells)
    labels: Counter[str] = Counter()
    for cell, rows in counts.items():
        labels.update({label: rows for label in set(json.loads(cell))})
    if not (known or _repeats(labels)) or set(labels) <= {"0", "1", "0.0", "1.0", "true", "false"}:
        return Column(name=name, role="unused", why="lists that do not repeat, or of numbers by position")
    several = any(len(json.loads(cell)) > 1 for cell in counts)
    kind: HeadKind = "multilabel" if several else "multiclass"
    target = TargetSpec(column=name, missing=_missing(labels))
    return Column(name=name, role="head", why="lists of labels", kind=kind, target=target, labels=labels)


def _of_cells(cells: pl.Series, name: str, *, known: bool) -> Column:
    counts = _counts(cells)
    low = name.strip().casefold()
    if not counts:
        return Column(name=name, role="unused", why="empty")
    if not known and (splits := splits_in(low, counts)) is not None:
        guessed = {value: split for value, split in splits.items() if value not in ALIASES and value != split}
        why = "names of splits"
        return Column(
            name=name,
            role="split",
            why=why,
            unsure=any(value.casefold() in FURTHER for value in guessed),
            split_map=guessed,
        )
    rows, repeats = sum(counts.values()), sum(counts.values()) / len(counts)
    if not known and _GROUP.search(low) and repeats > 1.05 and len(counts) > 20:
        return Column(name=name, role="group", why=f"{len(counts):,} different ones")
    if not known and ((odd := kind_of_values(counts)) or _IDS.search(low)):
        return Column(name=name, role="unused", why=odd or "numbers the rows")
    if not known and len(counts) == 1:
        return Column(name=name, role="unused", why=f"always {next(iter(counts))[:30]!r}")
    several = _several(counts, name, cells.len() - rows)
    if several is not None:
        return several
    if not (known or _repeats(counts)):
        return Column(name=name, role="unused", why=f"{len(counts):,} different values in {rows:,} rows")
    meta = not known and bool(_META.search(low))
    named = low in LABEL_NAMES or any(part in LABEL_NAMES for part in re.split(r"[_\W]+", low))
    target = TargetSpec(column=name, encoding="label", missing=_missing(counts))
    spellings = _one_spelling(_read_labels(target, counts, multilabel=False))
    labels = _read_labels(replace(target, map=spellings), counts, multilabel=False)
    target = replace(target, encoding="auto", map=spellings)
    return Column(
        name=name,
        role="unused" if meta else "head",
        why=f"{len(labels)} different values",
        unsure=not named,
        target=target,
        labels=labels,
    )


def _several(counts: Mapping[str, int], name: str, empty: int) -> Column | None:
    """The column as one whose cells hold several labels; None where they hold one."""
    target = (
        _choices(counts, name) or _array(counts, name) or separated(counts, name) or _letters(counts, name)
    )
    if target is None:
        return None
    rows = sum(counts.values())
    none = bool(empty) and empty / (rows + empty) <= SPARSE
    labels = _read_labels(target, counts, multilabel=True)
    words = _missing(labels)
    target = replace(target, missing=words, empty_means_none=none, map=_one_spelling(labels))
    why = f"several labels a cell ({_sign(target)})"
    labels = _read_labels(target, counts, multilabel=True)
    return Column(name=name, role="head", why=why, kind="multilabel", target=target, labels=labels)


def _sign(target: TargetSpec) -> str:
    match target.encoding:
        case "separator":
            return f"separated by {target.separator!r}"
        case "list":
            return "JSON arrays"
        case "auto":
            return "choices of a labelling tool"
        case other:
            return other


def _choices(counts: Mapping[str, int], name: str) -> TargetSpec | None:
    """Cells such as `{"choices": ["a", "b"]}`, which a labelling tool writes where there are several."""
    if not any(cell.startswith('{"choices"') for cell in counts):
        return None
    target = TargetSpec(column=name)
    try:
        _read_labels(target, counts, multilabel=True)
    except CellError:
        return None
    return target


def _array(counts: Mapping[str, int], name: str) -> TargetSpec | None:
    """Cells that are all JSON arrays."""
    if all(cell.startswith("[") and cell.endswith("]") for cell in counts):
        target = TargetSpec(column=name, encoding="list")
        try:
            _read_labels(target, counts, multilabel=True)
        except CellError:
            return None
        return target
    return None


def separated(counts: Mapping[str, int], name: str, known: Iterable[str] = ()) -> TargetSpec | None:
    """How cells with several labels between separators are read; None where there are hardly any.

    Args:
        counts: cell → rows.
        known: labels of the same head in other files.
    """
    if len(counts) > 50 * MOST_LABELS:
        return None
    joined = joined_labels(counts, tuple(known))
    by_sign: Counter[str] = Counter()
    for cell, sign in joined.items():
        by_sign[sign] += counts[cell]
    rows = sum(counts.values())
    for sign, count in by_sign.most_common():
        pieces = _pieces(counts, sign)
        if count / rows >= LEAST_JOINED and _repeats(pieces) and sign != " ":
            return TargetSpec(column=name, encoding="separator", separator=sign)
    return None


def _pieces(counts: Mapping[str, int], sign: str) -> Counter[str]:
    pieces: Counter[str] = Counter()
    for cell, rows in counts.items():
        pieces.update({piece.strip(WHITE_SPACE): rows for piece in cell.split(sign)})
    return pieces


def _letters(counts: Mapping[str, int], name: str) -> TargetSpec | None:
    """Cells such as `BIL`: capital letters, each a label that also stands alone."""
    if not all(re.fullmatch("[A-Z]{1,8}", cell) and len(set(cell)) == len(cell) for cell in counts):
        return None
    alone = {cell for cell in counts if len(cell) == 1}
    longer = [cell for cell in counts if len(cell) > 1]
    if len(alone) < 2 or not longer or not all(set(cell) <= alone for cell in longer):
        return None
    return TargetSpec(column=name, encoding="letters")


def _read_labels(target: TargetSpec, counts: Mapping[str, int], *, multilabel: bool) -> Counter[str]:
    """Label → rows, as the merge will read the cells.

    Raises:
        CellError: a cell cannot be read so.
    """
    reader = CellReader(target=target, is_list=False, multilabel=multilabel)
    labels: Counter[str] = Counter()
    for cell, rows in counts.items():
        labels.update({label: rows for label in reader.labels(cell) or ()})
    return labels


def _counts(cells: pl.Series) -> dict[str, int]:
    """Cell → rows, missing and empty ones left out, the commonest first."""
    present = cells.drop_nulls()
    counted = present.filter(present != "").alias("cell").value_counts(sort=True)
    return dict(counted.iter_rows())


def _repeats(labels: Mapping[str, int]) -> bool:
    """Whether there are few enough different labels to be learned from so many rows."""
    many = len(labels) > MOST_LABELS or any(len(label) > 100 for label in labels)
    return len(labels) > 1 and not many and sum(labels.values()) / len(labels) >= LEAST_REPEATS


def _missing(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(label for label in labels if label.strip().casefold() in _NO_LABEL))


def _one_spelling(labels: Mapping[str, int]) -> dict[str, str]:
    """Label → the commonest of those that differ from it by case or blanks only."""
    found: dict[str, str] = {}
    for group in look_alike_labels(labels):
        if all(not label.strip().lstrip("+-").replace(".", "").isdigit() for label in group):
            commonest = max(group, key=lambda label: labels[label])
            found |= {label: commonest for label in group if label != commonest}
    return found
