"""Build the dataset folder: read every source, merge, split, resolve labels, profile, write at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, assert_never

import polars as pl

from model.files import read_json
from model.spec import HeadSpec, head_from_json
from sources.errors import DataError, Problem
from sources.formats.table import Progress
from sources.labels.resolve import resolve_labels
from sources.merge.all_sources import read_all
from sources.merge.conflicts import FLAGS
from sources.merge.dataset_folder import table_aside, write_dataset
from sources.merge.dataset_tables import (
    dataset_table,
    kept_columns,
    labels_table,
    observations_table,
    used_targets,
    without_unseen,
)
from sources.merge.findings import find_offending_rows
from sources.merge.fingerprint import dataset_fingerprint, evidence_digest, head_fingerprint
from sources.merge.identity import look_alike_labels
from sources.merge.join import merge_rows
from sources.merge.near_duplicates import ROW_LIMIT, find_near_duplicates
from sources.merge.remarks import doubt_remarks
from sources.merge.same_files import merge_key, merged_before, remember_merge
from sources.merge.split import assign_splits
from sources.profile.figures import profile_heads, profile_lengths, split_rows
from sources.profile.vocabulary import count_words, profile_vocabulary
from sources.spec import SourceSpec, SplitSpec


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
    it is; if only places or settings differ (equal content from other files), a folder of its own is
    written beside it. Where the same bytes were merged with the same settings before, nothing is read.

    Args:
        base: what relative paths in `sources` start from.
        out_root: made if it is not there.
        on_progress: called with (`read` | `merge` | `write`, rows so far).

    Raises:
        DataError: anything that keeps the data from being trained on: a source that cannot be read, a
            cell that cannot be understood, an empty split, a head with a single class. Problems of all
            sources are raised together.
        OSError: the dataset cannot be written.
    """
    key = merge_key(sources, heads, split, base)
    if key is not None and (place := merged_before(key, out_root)) is not None:
        return open_dataset(place)
    made = _merge(sources, heads, split, base, out_root, on_progress or (lambda stage, rows: None))
    # Nobody wrote to a file meanwhile: the dataset is of the bytes that the key stands for.
    if key is not None and key == merge_key(sources, heads, split, base):
        remember_merge(key, made.path)
    return made


def _merge(
    sources: Mapping[str, SourceSpec],
    heads: Mapping[str, HeadSpec],
    split: SplitSpec,
    base: Path,
    out_root: Path,
    progress: Progress,
) -> DatasetRef:
    read = read_all(sources, heads, split, base, progress)
    codes, specs = read.rows.codes, read.specs
    merged = merge_rows(read.rows, heads, split)
    rows, texts = merged.rows, merged.texts
    observed = rows.height
    progress("merge", observed)
    labelled = {head: texts[f"labelled:{head}"] for head in heads}
    texts, near = _without_near_duplicates(assign_splits(texts, labelled, split), split)
    resolved = resolve_labels(heads, used_targets(texts, codes), _absent(specs, heads, read.figures))
    texts, unseen = without_unseen(texts, resolved, codes)
    findings, totals = find_offending_rows(rows, heads, codes, near)
    said = {
        "sources": _with_kept(read.figures, rows),
        "unseen_labels": unseen,
        "doubts": doubt_remarks(rows, heads, codes, read.doubts, specs),
    }
    conflicts = {
        "text_shared_between_splits": rows.filter("in_two_splits")["text_id"].n_unique(),
        **_conflicting_texts(rows, heads),
    }
    observations = observations_table(rows, heads)
    evidence = evidence_digest(observations, resolved, texts.select(kept_columns(texts)), said)
    with table_aside(observations, out_root) as aside:
        del (
            read,
            merged,
            rows,
            labelled,
            observations,
        )  # only one of both, rows or dataset, fits beside the texts
        dataset = dataset_table(texts, resolved, codes)
        del texts
        progress("merge", dataset.height)
        head_fingerprints = {name: head_fingerprint(dataset, name, head) for name, head in resolved.items()}
        about = {
            "fingerprint": dataset_fingerprint(dataset, head_fingerprints),
            "evidence": evidence,
            "heads": {name: asdict(head) for name, head in resolved.items()},
            "head_fingerprints": head_fingerprints,
            "rows": split_rows(dataset),
            "observations": observed,
            "totals": totals,
        }
        words = count_words(dataset)
        profile = {
            "rows": about["rows"],
            "observations": observed,
            "heads": profile_heads(dataset, resolved),
            "text_chars": profile_lengths(dataset),
            "vocabulary": profile_vocabulary(words, split_rows(dataset)),
            **conflicts,
            "near_duplicates": None if near is None else near.height,
            "look_alike_labels": {name: look_alike_labels(head.labels) for name, head in resolved.items()},
            "finding_totals": totals,
            **said,
        }
        tables: dict[str, pl.DataFrame | pl.LazyFrame | Path] = {
            "dataset": dataset,
            "observations": aside,
            "findings": findings,
            "labels": labels_table(dataset, resolved),
            "words": words,
        }
        return _reference(write_dataset(about, tables, profile, resolved, out_root, progress), about)


def open_dataset(path: Path) -> DatasetRef:
    """The reference to a dataset folder that was written before.

    Raises:
        DataError: there is no complete dataset there.
    """
    if not (path / "dataset.json").is_file():
        seen = "not a dataset folder (no dataset.json)"
        raise DataError(Problem(seen, advice="Build it again.", file=str(path)))
    return _reference(path, read_json(path / "dataset.json"))


def content_fingerprint(path: Path) -> str:
    """The fingerprint of what a dataset folder holds now, computed from its table; empty where there is no
    whole dataset."""
    try:
        about = read_json(path / "dataset.json")
        heads = {name: head_from_json(head) for name, head in about["heads"].items()}
        table = pl.read_parquet(path / "dataset.parquet")
        of_heads = {name: head_fingerprint(table, name, head) for name, head in heads.items()}
        return dataset_fingerprint(table, of_heads)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError):
        return ""


def _reference(path: Path, about: Mapping[str, Any]) -> DatasetRef:
    return DatasetRef(
        path=path,
        fingerprint=about["fingerprint"],
        heads={name: head_from_json(head) for name, head in about["heads"].items()},
        head_fingerprints=about["head_fingerprints"],
        rows=about["rows"],
        observations=about["observations"],
        totals=about["totals"],
    )


def _without_near_duplicates(
    texts: pl.DataFrame, split: SplitSpec
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """(The texts that stay; the near-duplicates, or None where they were not looked for: switched off, or
    too many texts to look in passing)."""
    match split.near_duplicates:
        case "off":
            return texts, None
        case "report":
            if texts.height > ROW_LIMIT:
                return texts, None
            return texts, find_near_duplicates(texts, split.near_duplicate_similarity)
        case "remove":
            near = find_near_duplicates(texts, split.near_duplicate_similarity)
            return texts.filter(~pl.col("text_id").is_in(near["text_id"].implode())), near
        case _:
            assert_never(split.near_duplicates)


def _absent(
    sources: Mapping[str, SourceSpec], heads: Mapping[str, HeadSpec], figures: list[dict[str, Any]]
) -> dict[str, list[str]]:
    """Head → its sources that were left out because they are optional and absent."""
    absent: dict[str, list[str]] = {}
    for source in figures:
        if "left_out" in source:
            for head in sources[source["name"]].heads or heads:
                absent.setdefault(head, []).append(source["name"])
    return absent


def _with_kept(figures: list[dict[str, Any]], rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The figures of each source with the number of its rows that have a text: `kept`."""
    there = rows.group_by("source").agg(pl.col("text_id").is_not_null().sum())
    kept = dict(there.with_columns(pl.col("source").cast(pl.String)).iter_rows())
    return [{**source, "kept": int(kept.get(source["name"], 0))} for source in figures]


def _conflicting_texts(rows: pl.DataFrame, heads: Mapping[str, HeadSpec]) -> dict[str, dict[str, int]]:
    """`conflicts`, `conflicts_within`, `conflicts_between` → head → texts in such a conflict."""
    return {
        flag.replace("conflict", "conflicts"): {
            head: rows.filter(f"{flag}:{head}")["text_id"].n_unique() for head in heads
        }
        for flag in FLAGS
    }
