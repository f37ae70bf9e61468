"""Build the dataset folder: read every source, merge, split, resolve labels, profile, write at once.

The folder appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from model.faults import fault
from model.spec import HeadSpec, head_from_json
from sources.errors import BadTable, DataError, Problem, nearest, raise_together
from sources.formats.locate import AbsentPath
from sources.formats.read import read_source
from sources.formats.table import Progress
from sources.labels.answers import Answer, AnswerBook
from sources.labels.resolve import resolve_labels
from sources.labels.targets import columns_of, find_targets
from sources.merge.findings import find
from sources.merge.fingerprint import dataset_fingerprint, evidence_digest, head_fingerprint
from sources.merge.identity import look_alikes
from sources.merge.join import KEPT, merge_rows, source_rows
from sources.merge.near_duplicates import ROW_LIMIT, find_near_duplicates
from sources.merge.rows_folder import write_rows
from sources.merge.split import CODES, assign_splits
from sources.profile.figures import profile_heads, profile_lengths, split_rows
from sources.profile.vocabulary import count_words, profile_vocabulary
from sources.spec import SourceSpec, SplitSpec

SCHEMA_VERSION = 2
"""Of the dataset folder. 2: the profile says more of each head and split, and where conflicts are."""

CONFLICTS = ("conflict", "conflict_within", "conflict_between")
"""Columns of rows whose text has two answers: anywhere, in one source, in two sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRef:
    """A dataset on disk and what a caller needs to know of it without opening it."""

    path: Path
    """The dataset folder."""
    fingerprint: str
    """SHA-256 of its content."""
    heads: dict[str, HeadSpec]
    """With labels filled in."""
    head_fingerprints: dict[str, str]
    """Head → SHA-256 of its labelled rows."""
    rows: dict[str, int]
    """Split → texts."""
    observations: int
    """Input rows."""
    totals: dict[str, int] = field(default_factory=dict)
    """Rule → offending rows or texts found while merging."""


@dataclass(frozen=True, slots=True)
class _Read:
    """All sources read, targets found."""

    rows: pl.DataFrame
    books: dict[str, AnswerBook]
    sources: list[dict[str, Any]]


def build_dataset(
    sources: Mapping[str, SourceSpec],
    heads: Mapping[str, HeadSpec],
    split: SplitSpec,
    base: Path,
    out_root: Path,
    on_progress: Progress | None = None,
) -> DatasetRef:
    """Merge `sources` into one dataset below `out_root` and return a reference to it.

    The folder is named by the first 16 digits of its fingerprint. If it is already there it is used as
    it is; if only places or settings differ (the same content from other files), a folder of its own is
    written beside it.

    Args:
        base: what relative paths in `sources` start from.
        out_root: made if it is not there.
        on_progress: called with (`read` | `merge` | `write`, rows so far).

    Raises:
        DataError: anything that keeps the data from being trained on: a source that cannot be read, a
            cell that cannot be understood, an empty split, a label seen only outside training, a head
            with a single class. Problems of all sources are raised together.
        OSError: the dataset cannot be written.
    """
    progress = on_progress or (lambda stage, rows: None)
    _check(sources, heads, split)
    read = _read_all(sources, heads, base, progress)
    weights = {name: spec.weight for name, spec in sources.items()}
    merged = merge_rows(read.rows, heads, read.books, weights, split)
    progress("merge", merged.rows.height)
    labelled = {head: merged.texts[f"labelled:{head}"] for head in heads}
    texts = assign_splits(merged.texts, labelled, split)
    near = _near_duplicates(texts, split)
    if near is not None and split.near_duplicates == "remove":
        texts = texts.filter(~pl.col("text_id").is_in(near["text_id"].implode()))
    resolved = resolve_labels(heads, _used(texts, heads, read.books))
    dataset = _dataset(texts, resolved, read.books)
    progress("merge", dataset.height)
    observations = _observations(merged.rows, heads)
    findings, totals = find(merged.rows, heads, near)
    prints = {name: head_fingerprint(dataset, name, head) for name, head in resolved.items()}
    ref = DatasetRef(
        path=out_root,
        fingerprint=dataset_fingerprint(dataset, prints),
        heads=resolved,
        head_fingerprints=prints,
        rows=split_rows(dataset),
        observations=observations.height,
        totals=totals,
    )
    words = count_words(dataset)
    profile = {
        "rows": ref.rows,
        "observations": ref.observations,
        "sources": _kept(read.sources, merged.rows),
        "heads": profile_heads(dataset, resolved),
        "text_chars": profile_lengths(dataset),
        "vocabulary": profile_vocabulary(words, ref.rows),
        "text_shared_between_splits": merged.rows.filter("in_two_splits")["text_id"].n_unique(),
        **{
            name.replace("conflict", "conflicts"): {
                h: merged.rows.filter(f"{name}:{h}")["text_id"].n_unique() for h in heads
            }
            for name in CONFLICTS
        },
        "near_duplicates": None if near is None else near.height,
        "look_alike_labels": {name: look_alikes(head.labels) for name, head in resolved.items()},
        "finding_totals": totals,
    }
    tables = {"dataset": dataset, "observations": observations, "findings": findings}
    tables |= {"labels": _long_labels(dataset, resolved), "words": words}
    kept = dataset.select(column for column in dataset.columns if column.startswith(KEPT))
    evidence = evidence_digest(observations, resolved, kept)
    return _write(ref, tables, profile, evidence, out_root, progress)


def open_dataset(path: Path) -> DatasetRef:
    """The reference to a dataset folder that was written before.

    Raises:
        DataError: there is no complete dataset there.
    """
    about = path / "dataset.json"
    if not about.is_file():
        raise DataError(
            Problem(file=str(path), seen="not a dataset folder (no dataset.json)", advice="Build it again.")
        )
    raw = json.loads(about.read_text(encoding="utf-8"))
    return DatasetRef(
        path=path,
        fingerprint=raw["fingerprint"],
        heads={name: head_from_json(head) for name, head in raw["heads"].items()},
        head_fingerprints=raw["head_fingerprints"],
        rows=raw["rows"],
        observations=raw["observations"],
        totals=raw["totals"],
    )


def _check(sources: Mapping[str, SourceSpec], heads: Mapping[str, HeadSpec], split: SplitSpec) -> None:
    problems = []
    if not sources:
        problems.append(Problem(seen="there is no source", expected="at least one"))
    if not heads:
        problems.append(Problem(seen="there is no head", expected="at least one"))
    for name in split.prefer:
        if name not in sources:
            problems.append(
                Problem(seen=f"split.prefer names the source {name!r}", advice=nearest(name, sources))
            )
    if split.conflicts == "prefer" and not split.prefer:
        problems.append(
            Problem(
                seen="split.conflicts is `prefer`, but split.prefer is empty", expected="sources in order"
            )
        )
    if problems:
        raise BadTable(*problems)


def _read_all(
    sources: Mapping[str, SourceSpec], heads: Mapping[str, HeadSpec], base: Path, progress: Progress
) -> _Read:
    books = {head: AnswerBook() for head in heads}
    frames: list[pl.DataFrame] = []
    about: list[dict[str, Any]] = []
    errors: list[DataError] = []
    done = 0

    def on_rows(rows: int) -> None:
        nonlocal done
        done += rows
        progress("read", done)

    kept = sorted({column for spec in sources.values() for column in spec.keep})
    for name, spec in sorted(sources.items()):
        try:
            raw = read_source(name, spec, base, on_rows)
            found = find_targets(raw, spec, dict(heads), books, base)
            frames.append(source_rows(name, found, spec, heads, kept))
            about.append({"name": name, "files": raw.files, "rows": raw.rows_read})
        except AbsentPath as error:
            if not spec.optional:
                errors.append(error)
            else:
                about.append({"name": name, "files": 0, "rows": 0, "left_out": str(error)})
        except DataError as error:
            errors.append(error)
    raise_together(errors)
    if not frames:
        raise BadTable(Problem(seen="every source is optional and absent", expected="at least one source"))
    rows = pl.concat(frames)
    if rows["text_id"].null_count() == rows.height:
        raise BadTable(Problem(seen="every text is missing or blank", expected="texts in the text column"))
    return _Read(rows, books, about)


def _near_duplicates(texts: pl.DataFrame, split: SplitSpec) -> pl.DataFrame | None:
    """None where they are not looked for: switched off, or too many texts to report them in passing."""
    if split.near_duplicates == "off" or (split.near_duplicates == "report" and texts.height > ROW_LIMIT):
        return None
    return find_near_duplicates(texts, split.near_duplicate_similarity)


def _used(
    texts: pl.DataFrame, heads: Mapping[str, HeadSpec], books: Mapping[str, AnswerBook]
) -> dict[str, dict[str, list[Answer]]]:
    """Head → split → the distinct answers of its texts."""
    used: dict[str, dict[str, list[Answer]]] = {}
    for head in heads:
        column = columns_of(head).answer
        pairs = texts.select("split", column).drop_nulls().unique().sort("split", column)
        used[head] = {}
        for split, number in pairs.iter_rows():
            used[head].setdefault(split, []).append(books[head].answers[number])
    return used


def _dataset(
    texts: pl.DataFrame, heads: Mapping[str, HeadSpec], books: Mapping[str, AnswerBook]
) -> pl.DataFrame:
    """`dataset.parquet`: answers' numbers replaced by what they say."""
    columns = []
    for name, head in heads.items():
        numbers = texts[columns_of(name).answer].cast(pl.UInt32)
        answers = books[name].answers
        if head.kind == "multiclass":
            said = pl.Series([a.positives[0] for a in answers], dtype=pl.String)
            columns.append(said.gather(numbers).alias(f"head:{name}"))
            continue
        lists = pl.List(pl.String)
        said = pl.Series([list(a.positives) for a in answers], dtype=lists)
        silent = pl.Series([list(a.unknown(head.labels)) for a in answers], dtype=lists)
        columns += [
            said.gather(numbers).alias(f"head:{name}"),
            silent.gather(numbers).alias(f"unknown:{name}"),
        ]
    kept = [column for column in texts.columns if column.startswith(KEPT)]
    return texts.select("text_id", "text", "split", "weight", "group", "origins", *kept).with_columns(columns)


def _observations(rows: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> pl.DataFrame:
    """`observations.parquet`: every input row."""
    names = {head: columns_of(head) for head in heads}
    return rows.select(
        "source",
        "line",
        "file",
        "text_id",
        "text",
        pl.col("given")
        .replace_strict({code: split for split, code in CODES.items()}, default=None, return_dtype=pl.String)
        .alias("split_given"),
        *(pl.col(n.count).alias(f"count:{head}") for head, n in names.items()),
        *(pl.col(n.unknown).is_not_null().alias(f"unknown_label:{head}") for head, n in names.items()),
        *(pl.col(f"{name}:{head}") for name in CONFLICTS for head in names),
        "in_two_splits",
        pl.col("text").str.len_chars().cast(pl.Int32).alias("chars"),
    )


def _long_labels(dataset: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> pl.DataFrame:
    """`labels.parquet`: one row for each label that applies to a text."""
    parts = []
    for name in heads:
        part = dataset.select("text_id", "split", pl.lit(name).alias("head"), label=f"head:{name}")
        if part.schema["label"] == pl.List(pl.String):
            part = part.explode("label")
        parts.append(part.drop_nulls("label"))
    return pl.concat(parts)


def _kept(sources: list[dict[str, Any]], rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Per source, how many of its rows have a text."""
    kept = dict(rows.filter(pl.col("text_id").is_not_null()).group_by("source").len().iter_rows())
    return [{**source, "kept": int(kept.get(source["name"], 0))} for source in sources]


def _write(
    ref: DatasetRef,
    tables: Mapping[str, pl.DataFrame],
    profile: Mapping[str, Any],
    evidence: str,
    out_root: Path,
    progress: Progress,
) -> DatasetRef:
    """Write the folder beside its place and rename it; use what is there if it holds the same."""
    out_root.mkdir(parents=True, exist_ok=True)
    about = {
        "fingerprint": ref.fingerprint,
        "evidence": evidence,
        "heads": {name: asdict(head) for name, head in ref.heads.items()},
        "head_fingerprints": ref.head_fingerprints,
        "rows": ref.rows,
        "observations": ref.observations,
        "totals": ref.totals,
        "schema_version": SCHEMA_VERSION,
    }
    place = out_root / ref.fingerprint[:16]
    if place.exists() and not _holds(place, about):
        place = out_root / f"{ref.fingerprint[:16]}-{evidence[:8]}"
    ref = replace(ref, path=place)
    if place.exists() and _holds(place, about):
        return ref
    building = out_root / f".building.{os.getpid()}.{uuid.uuid4().hex}"
    building.mkdir()
    try:
        for name, table in tables.items():
            table.write_parquet(building / f"{name}.parquet", compression="zstd", compression_level=1)
            progress("write", table.height)
        write_rows(tables["dataset"], ref.heads, building / "rows")
        _write_json(building / "profile.json", profile)
        _write_json(building / "dataset.json", about)
        for file in building.rglob("*"):
            _sync(file)
        _sync(building)
        fault("dataset_written")
        try:
            building.rename(place)
        except OSError:
            if not _holds(place, about):  # else another process was faster with the same
                raise
    except pl.exceptions.ComputeError as error:
        # Polars does not tell a full disk from its other troubles by a type of its own.
        raise OSError(f"{out_root}: the dataset cannot be written ({error}); is the disk full?") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _sync(out_root)
    fault("dataset_made")
    return ref


def _holds(place: Path, about: Mapping[str, Any]) -> bool:
    """Whether the folder at `place` is complete and holds exactly this dataset."""
    try:
        there = json.loads((place / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(there == json.loads(json.dumps(about)))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _sync(path: Path) -> None:
    """Bring a file or folder to disk before it is relied on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
