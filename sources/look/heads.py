"""From what single files hold to heads and sources: which columns ask the same question, and how each source
answers it. Does not ask anybody; whoever does (`flows.init`) changes what was guessed before.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.spec import SPLITS, HeadKind, SplitName
from sources.formats.given_split import ALIASES
from sources.formats.headers import LABEL_NAMES
from sources.look.columns import Column, separated
from sources.look.file import LookedAt
from sources.spec import SourceSpec, TargetSpec

SHARED = 0.3
"""Share of the smaller set of labels that two columns with a general name must share to be one head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundHead:
    """One question that the files ask."""

    kind: HeadKind
    labels: Mapping[str, int]
    """Label → rows."""
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A project as the files suggest it."""

    heads: Mapping[str, FoundHead]
    sources: Mapping[str, SourceSpec]
    looked: Mapping[str, tuple[LookedAt, ...]]
    """Source → its files."""
    union: bool
    """Whether some texts stand in one row a label (`split.conflicts: union`)."""


def combined(files: Sequence[LookedAt], base: Path) -> Found:
    """Heads and sources of all files.

    Args:
        files: without columns that are no head after all (role `unused`).
        base: folder of the configuration, which paths start from.
    """
    grouped = _sources(files)
    names = _head_names(grouped)
    heads: dict[str, FoundHead] = {}
    targets: dict[str, dict[str, TargetSpec]] = {name: {} for name in grouped}
    union = False
    for head, columns in names.items():
        several = any(column.name in grouped[source][0].one_label_a_row for source, column in columns)
        union |= several
        joined = any(column.kind == "multilabel" for _, column in columns)
        kind: HeadKind = "multilabel" if joined or several else "multiclass"
        known = {label for _, column in columns for label in column.labels}
        labels: Counter[str] = Counter()
        for source, column in columns:
            target, counts = column.target, column.labels
            if joined and column.kind == "multiclass" and target.column is not None:
                others = known - set(counts)
                found = separated(counts, target.column, others)
                if found is not None:
                    target = replace(found, missing=target.missing)
                    pieces = {cell: cell.split(found.separator) for cell in counts}
                    counts = Counter(
                        p.strip() for cell, ps in pieces.items() for p in ps for _ in range(counts[cell])
                    )
            targets[source][head] = target
            labels.update(counts)
        heads[head] = FoundHead(kind=kind, labels=labels, sources=tuple(source for source, _ in columns))
    specs = {name: _spec(group, targets[name], base) for name, group in grouped.items()}
    return Found(heads=heads, sources=specs, looked=grouped, union=union)


def _sources(files: Sequence[LookedAt]) -> dict[str, tuple[LookedAt, ...]]:
    """Source → its files: `train.csv` and `test.csv` with the same columns are one source."""
    left = list(files)
    found: dict[str, tuple[LookedAt, ...]] = {}
    for file in files:
        if file not in left:
            continue
        alike = [one for one in left if _split_of(one) and one.peeked.columns == file.peeked.columns]
        alike = [
            one for one in alike if one.peeked.declared == file.peeked.declared and one.text == file.text
        ]
        splits = {_split_of(one) for one in alike}
        group = alike if file in alike and len(splits) == len(alike) > 1 else [file]
        left = [one for one in left if one not in group]
        stem = _stem(file.peeked.file)
        wanted = (
            stem
            if len(group) == 1
            else re.sub(r"(^|[_.\-])[a-z]+$", "", stem.casefold()) or file.peeked.file.parent.name
        )
        found[_free(wanted, "source", found)] = tuple(group)
    return found


def _split_of(file: LookedAt) -> SplitName | None:
    """The split that the last word of a file's name means."""
    word = re.split(r"[_.\-]", _stem(file.peeked.file).casefold())[-1]
    if word in SPLITS:
        return word
    split = ALIASES.get(word)
    return None if split == "hash" else split


def _stem(file: Path) -> str:
    name = file.name.removesuffix(".gz")
    return Path(name).stem


def _head_names(grouped: Mapping[str, Sequence[LookedAt]]) -> dict[str, list[tuple[str, Column]]]:
    """Head → (source, column) that answer it. Columns of one name are one head; where the name says nothing
    (`label`), only if they share labels."""
    found: dict[str, list[tuple[str, Column]]] = {}
    for source, files in grouped.items():
        for column in _head_columns(files):
            same = [head for head, others in found.items() if _same_question(column, [c for _, c in others])]
            if same:
                found[same[0]].append((source, column))
                continue
            general = column.name.strip().casefold() in LABEL_NAMES and any(
                column.name == c.name for others in found.values() for _, c in others
            )
            found[_free(source if general else column.name, "head", found)] = [(source, column)]
    return found


def _head_columns(files: Sequence[LookedAt]) -> Iterator[Column]:
    """The heads of a source; labels of all its files together."""
    for column in files[0].columns:
        if column.role != "head":
            continue
        alike = [c for file in files for c in file.columns if c.name == column.name and c.role == "head"]
        labels: Counter[str] = Counter()
        for one in alike:
            labels.update(one.labels)
        several = next((one for one in alike if one.kind == "multilabel"), column)
        missing = tuple(sorted({word for one in alike for word in one.target.missing}))
        yield replace(several, labels=labels, target=replace(several.target, missing=missing))


def _same_question(column: Column, others: Sequence[Column]) -> bool:
    if _slug(column.name, "") != _slug(others[0].name, ""):
        return False
    if column.name.strip().casefold() not in (
        "label",
        "labels",
        "class",
        "target",
        "category",
        "tag",
        "output",
    ):
        return True
    known = {label for other in others for label in other.labels}
    shared = len(known & set(column.labels))
    return shared >= SHARED * min(len(known), len(column.labels))


def _spec(files: Sequence[LookedAt], heads: Mapping[str, TargetSpec], base: Path) -> SourceSpec:
    first = files[0]
    paths = [_path(file.peeked.file, base) for file in files]
    path: Any = paths[0] if len(files) == 1 else dict(zip(map(_split_of, files), paths, strict=True))
    split = next((c for c in first.columns if c.role == "split"), None) if len(files) == 1 else None
    return SourceSpec(
        path=path,
        text=first.text,
        heads=dict(heads),
        split_column=None if split is None else split.name,
        split_map={} if split is None else dict(split.split_map),
        **first.peeked.declared,
    )


def _path(file: Path, base: Path) -> str:
    full = file.resolve()
    try:
        return full.relative_to(base.resolve()).as_posix()
    except ValueError:
        return str(full)


def _free(wanted: str, otherwise: str, taken: Collection[str]) -> str:
    """A name for the configuration, made of `wanted`, that is not taken."""
    name = _slug(wanted, otherwise)
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def _slug(wanted: str, otherwise: str) -> str:
    plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:63]
    if not name:
        return otherwise
    return name if name[0].isalpha() else f"{otherwise}_{name}"[:63]
