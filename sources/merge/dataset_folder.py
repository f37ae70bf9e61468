"""Write the dataset folder, whole or not at all, or find the one that holds this dataset already, every byte
of it. One that is damaged is written again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from model.faults import fault
from model.files import (
    file_digests,
    holds_files,
    read_json,
    remove_folder,
    replacing_folder,
    unfinished_path,
    write_json,
)
from model.spec import HeadSpec
from sources.formats.table import Progress
from sources.merge.class_labels import write_class_labels
from sources.merge.rows_folder import write_rows

FILES = ".files.json"
"""sha256 of each file of the folder, by which a damaged one is known."""
SCHEMA_VERSION = 3
"""Of the dataset folder. 2: the profile has more figures of each head and split, and where conflicts are. 3:
it has what is doubtful about labels and how files were read."""


def write_dataset(
    about: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame | Path],
    profile: Mapping[str, Any],
    heads: Mapping[str, HeadSpec],
    out_root: Path,
    progress: Progress,
) -> Path:
    """The folder below `out_root` with this dataset, named by the first 16 digits of its fingerprint; where
    that name is taken by other evidence, by that of the evidence too.

    Args:
        about: content of `dataset.json`: `fingerprint`, `evidence` and what `sources.dataset` reads.
        tables: name → table, `dataset` among them as a frame; or a file that holds it and is moved.
        heads: with labels filled in.

    Raises:
        OSError: the dataset cannot be written, or both names are taken by something else.
    """
    about, dataset = {**about, "schema_version": SCHEMA_VERSION}, tables["dataset"]
    assert isinstance(dataset, pl.DataFrame)
    digits = about["fingerprint"][:16]
    place = Path(out_root, digits)
    if _of_others(place, about):
        place = Path(out_root, f"{digits}-{about['evidence'][:8]}")
    if _of_others(place, about):
        raise FileExistsError(f"{place}: the name is taken by another dataset. Move it away.")
    if _holds(place, about):
        return place
    remove_folder(place)  # damaged, if it is there at all
    with _disk_told(out_root), replacing_folder(place, keep_existing=True) as folder:
        for name, table in tables.items():
            if isinstance(table, Path):
                table.replace(folder / f"{name}.parquet")
            else:
                write_table(table.lazy(), folder / f"{name}.parquet")
            progress("write", dataset.height)
        write_rows(dataset, heads, folder / "rows")
        write_class_labels(dataset, heads, folder / "splits")
        write_json(folder / "profile.json", profile)
        write_json(folder / "dataset.json", about)
        write_json(folder / FILES, file_digests(folder))
        fault("dataset_written")
    if not _holds(place, about):  # another process may have been faster, but only with an equal dataset
        raise FileExistsError(f"{place}: the name is taken, expected no such folder. Move it away.")
    fault("dataset_made")
    return place


def write_table(table: pl.LazyFrame, file: Path) -> None:
    """A table as Parquet, by the part: it is never whole in memory beside what it is made of."""
    table.sink_parquet(file, compression="zstd", compression_level=1)


@contextlib.contextmanager
def table_aside(table: pl.LazyFrame, out_root: Path) -> Iterator[Path]:
    """A table that is written before its dataset has a name, for `write_dataset` to move; removed afterwards.

    Raises:
        OSError: it cannot be written.
    """
    out_root.mkdir(parents=True, exist_ok=True)
    file = unfinished_path(out_root / "table.parquet")
    try:
        with _disk_told(out_root):
            write_table(table, file)
        yield file
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk_told(out_root: Path) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.ComputeError as error:
        # Polars has no exception of its own for a full disk.
        raise OSError(f"{out_root}: the dataset cannot be written ({error}); is the disk full?") from error


def _describes(place: Path, about: Mapping[str, Any]) -> bool | None:
    """Whether the folder at `place` says that it holds this dataset; None where it says nothing that could be
    understood, or there is no folder."""
    try:
        return bool(read_json(place / "dataset.json") == json.loads(json.dumps(about)))
    except (OSError, ValueError):
        return None


def _of_others(place: Path, about: Mapping[str, Any]) -> bool:
    """Whether `place` is another dataset's, which stays."""
    return _describes(place, about) is False


def _holds(place: Path, about: Mapping[str, Any]) -> bool:
    """Whether the folder at `place` is complete and holds exactly this dataset."""
    return bool(_describes(place, about)) and holds_files(place, place / FILES)
