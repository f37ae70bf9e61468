"""The dataset that the same files and settings gave before, found without reading a row.

Files are compared by their bytes, never by their times. What can't be known without asking (a hub dataset, a
query) is never the same. Does not merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.code import code_digest, dependencies, folder_digest
from model.digest import digest
from model.files import file_digests, file_sha256, holds_files, read_json, write_json
from model.spec import HeadSpec
from sources.errors import DataError
from sources.formats.locate import AbsentPath, expand, locate
from sources.merge.dataset_folder import FILES
from sources.spec import SourceSpec, SplitSpec

NOTES = ".merged"
"""Folder beside the datasets: one small file for each merge that is remembered."""
MOST_NOTES = 50
"""Merges that are remembered; the oldest go first."""


def merge_key(
    sources: Mapping[str, SourceSpec], heads: Mapping[str, HeadSpec], split: SplitSpec, base: Path
) -> str | None:
    """Digest of all that a merge depends on: every file's bytes, settings, code and libraries. None where
    that can't be known without merging.

    Args:
        base: what relative paths start from.
    """
    try:
        files = {name: _of_source(spec, base) for name, spec in sorted(sources.items())}
    except (DataError, OSError):
        return None  # the merge says what is wrong
    if any(found is None for found in files.values()):
        return None
    settings = [{name: asdict(one) for name, one in group.items()} for group in (sources, heads)]
    code = (code_digest(), folder_digest(Path(__file__).parents[1]))
    return digest("merge", files, settings, asdict(split), code, dict(dependencies()))


def _of_source(spec: SourceSpec, base: Path) -> list[Any] | None:
    """Name and digest of every file that a source is read from; None where files do not say it."""
    if spec.path is None:
        return None
    found: list[Any] = []
    paths = spec.path if isinstance(spec.path, dict) else {spec.split: spec.path}
    for given, path in paths.items():
        try:
            for file in locate(str(path), spec.format, base):
                content = file_digests(file.path) if file.path.is_dir() else file_sha256(file.path)
                found.append([given, file.name, file.format, content])
        except AbsentPath:
            if not spec.optional:
                raise
            found.append([given, "absent"])
    for target in spec.targets.values():
        if target.labels_file is not None:
            found.append(file_sha256(Path(base, expand(target.labels_file)).expanduser()))
    return found


def merged_before(key: str, out_root: Path) -> Path | None:
    """The whole dataset folder below `out_root` that a merge with this key gave; None where there is none, or
    a byte of it was changed since."""
    try:
        name = str(read_json(out_root / NOTES / f"{key}.json")["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    place = out_root / Path(name).name
    return place if holds_files(place, place / FILES) else None


def remember_merge(key: str, place: Path) -> None:
    """Note which dataset folder a merge with this key gave."""
    notes = place.parent / NOTES
    notes.mkdir(exist_ok=True)
    write_json(notes / f"{key}.json", {"folder": place.name})
    old = sorted(notes.glob("*.json"), key=_written, reverse=True)[MOST_NOTES:]
    for note in old:
        note.unlink(missing_ok=True)


def _written(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except OSError:
        return 0.0  # another run has just removed it
