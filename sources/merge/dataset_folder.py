"""Write the dataset folder, whole or not at all, or find the one that holds this dataset already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from model.faults import fault
from model.files import read_json, replacing_folder, write_json
from model.spec import HeadSpec
from sources.formats.table import Progress
from sources.merge.rows_folder import write_rows

SCHEMA_VERSION = 3
"""Of the dataset folder. 2: the profile has more figures of each head and split, and where conflicts are. 3:
it has what is doubtful about labels and how files were read."""


def write_dataset(
    about: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    profile: Mapping[str, Any],
    heads: Mapping[str, HeadSpec],
    out_root: Path,
    progress: Progress,
) -> Path:
    """The folder below `out_root` with this dataset, named by the first 16 digits of its fingerprint; where
    that name is taken by other evidence, by that of the evidence too.

    Args:
        about: content of `dataset.json`: `fingerprint`, `evidence` and what `sources.dataset` reads.
        tables: name → table, `dataset` among them.
        heads: with labels filled in.

    Raises:
        OSError: the dataset cannot be written, or both names are taken by something else.
    """
    about = {**about, "schema_version": SCHEMA_VERSION}
    digits = about["fingerprint"][:16]
    place = Path(out_root, digits)
    if place.exists() and not _holds(place, about):
        place = Path(out_root, f"{digits}-{about['evidence'][:8]}")
    if _holds(place, about):
        return place
    try:
        with replacing_folder(place, keep_existing=True) as folder:
            for name, table in tables.items():
                table.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=1)
                progress("write", table.height)
            write_rows(tables["dataset"], heads, folder / "rows")
            write_json(folder / "profile.json", profile)
            write_json(folder / "dataset.json", about)
            fault("dataset_written")
    except pl.exceptions.ComputeError as error:
        # Polars has no exception of its own for a full disk.
        raise OSError(f"{out_root}: the dataset cannot be written ({error}); is the disk full?") from error
    if not _holds(place, about):  # another process may have been faster, but only with an equal dataset
        raise FileExistsError(f"{place}: the name is taken, expected no such folder. Move it away.")
    fault("dataset_made")
    return place


def _holds(place: Path, about: Mapping[str, Any]) -> bool:
    """Whether the folder at `place` is complete and holds exactly this dataset."""
    try:
        return bool(read_json(place / "dataset.json") == json.loads(json.dumps(about)))
    except (OSError, ValueError):
        return False
