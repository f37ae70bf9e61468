"""What goes from a state folder by the rules of a project, and why. Looks only; removes nothing.

A run that goes on is known by its process, work in the cache by when it was used last and by its lock, and
what is kept whole by the references in it. Runs of another project that shares the folder are left to it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.cache import COMPLETE
from model.files import read_json
from release.home import Home
from release.keep.owner import OWNER_FILE, is_live, last_written, project_of
from release.keep.spec import KeepSpec
from release.kept_evidence import KEPT_FILE
from release.leftovers import LIBRARIES

DAY_S = 86_400.0
AUDIT_BYTES = 4 * 2**20
"""Largest file of a verdict's evidence that stays for ever."""
EVIDENCE = "evidence"
"""Folder of a run that holds what its verdict was decided by."""
SHORT = 8
"""Digits of a dataset's fingerprint that end the name of a run."""
FOREIGN = LIBRARIES | {"dask"}
"""Folders of the cache that libraries keep."""
GX_KEPT = Path("gx", "uncommitted")
"""Where Great Expectations keeps what came of runs (`expectations.data.gx.project`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """Something that goes."""

    kind: str
    """In words, in the plural: `run folders`."""
    path: Path
    why: str
    """The rule, and the field that sets it."""
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What must stay, whatever the rules say."""

    runs: Collection[str] = ()
    """Runs of versions that may serve: their pages stay."""
    fingerprints: Collection[str] = ()
    """Fingerprints of datasets of such versions."""


def plan(home: Home, name: str, spec: KeepSpec, kept: Kept, now: float | None = None) -> list[Going]:
    """Everything that goes by the rules of project `name`, in the order in which it is to go.

    Args:
        now: the time, in seconds since 1970.
    """
    moment = time.time() if now is None else now
    folders = sorted((path for path in home.runs.iterdir() if _ours(path)), key=lambda path: path.name)
    live = [path for path in folders if is_live(path, moment)]
    mine = [path for path in folders if project_of(path) in (name, None) and path not in live]
    trained = [path for path in mine if (path / EVIDENCE).is_dir()]
    others = [path for path in mine if path not in trained]
    whole = [*trained[-spec.runs :], *others[-spec.runs :], *live]
    whole += [path for path in folders if path not in mine]
    references = _references(whole)
    return [
        *_run_folders(trained[: -spec.runs], others[: -spec.runs], spec, home),
        *_datasets(home, spec, [*kept.fingerprints, *_fingerprints(live)], references),
        *_cached(home, spec, references, moment),
        *_pages(home, spec, name, [*kept.runs, *(path.name for path in live)], moment),
        *_results(home, spec, name, moment),
        *_old(home.prefect / "storage", spec.flow_run_days, "results of flow runs", "flow_run_days", moment),
    ]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; of what is gone, none."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        return sum(one.lstat().st_size for one in path.rglob("*") if not one.is_dir())
    except OSError:
        return 0


def _run_folders(
    trained: Sequence[Path], others: Sequence[Path], spec: KeepSpec, home: Home
) -> Iterator[Going]:
    for folder in trained:
        why = f"{spec.runs} newer trainings are kept whole (keep.runs); its evidence stays"
        for path in folder.iterdir():
            if path.name == EVIDENCE:
                files = [one for one in path.rglob("*") if one.is_file()]
                # Its references first: what it names is not to be looked for any more.
                yield from (
                    _going("parts of run folders", one, why) for one in files if one.name == KEPT_FILE
                )
                large = (one for one in files if one.lstat().st_size > AUDIT_BYTES)
                yield from (_going("evidence over 4 MiB", one, why) for one in large)
            elif path.name not in (OWNER_FILE, "profile.json"):
                yield _going("parts of run folders", path, why)
    for folder in others:
        why = f"{spec.runs} newer runs without a training are kept (keep.runs)"
        if (home.reports / folder.name).exists() or (home.logs / folder.name).exists():
            # It says whose the pages are, as long as there are any.
            yield from (
                _going("parts of run folders", path, why)
                for path in folder.iterdir()
                if path.name != OWNER_FILE
            )
        else:
            yield _going("run folders", folder, why)


def _datasets(
    home: Home, spec: KeepSpec, fingerprints: Collection[str], references: Collection[Path]
) -> Iterator[Going]:
    found = sorted(
        (path for path in home.data.iterdir() if _ours(path)), key=lambda path: path.stat().st_mtime
    )
    for path in found[: -spec.datasets]:
        needed = path.name[:SHORT] in {one[:SHORT] for one in fingerprints}
        if not needed and not _within(path, references):
            yield _going("datasets", path, f"{spec.datasets} others were used since (keep.datasets)")


def _cached(home: Home, spec: KeepSpec, references: Collection[Path], now: float) -> Iterator[Going]:
    for kind in home.cache.iterdir():
        if not _ours(kind) or kind.name in FOREIGN:
            continue
        for entry in kind.iterdir():
            if not _ours(entry) or _within(entry, references):
                continue
            done = entry / COMPLETE
            used = max(done.stat().st_mtime, entry.stat().st_mtime) if done.is_file() else last_written(entry)
            if now - used > spec.cache_days * DAY_S:
                why = f"not used for {spec.cache_days} days (keep.cache_days)"
                yield _going("cached work", entry, why)


def _pages(home: Home, spec: KeepSpec, name: str, kept: Collection[str], now: float) -> Iterator[Going]:
    wanted = (("pages", home.reports, "report_days"), ("logs", home.logs, "log_days"))
    for kind, root, field in wanted:
        for going in _old(root, getattr(spec, field), kind, field, now):
            run = going.path.name
            theirs = project_of(home.runs / run) not in (name, None)
            if going.path.is_dir() and not theirs and not (kind == "pages" and run in kept):
                yield going


def _results(home: Home, spec: KeepSpec, name: str, now: float) -> Iterator[Going]:
    """What Great Expectations keeps of each run of the project, and its pages of them."""
    kept = home.root / GX_KEPT
    for folder in (kept / "validations" / name, kept / "data_docs" / "local_site" / "validations" / name):
        yield from _old(folder, spec.report_days, "results of expectations", "report_days", now)


def _old(root: Path, days: int, kind: str, field: str, now: float) -> Iterator[Going]:
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if not path.name.startswith(".") and now - path.lstat().st_mtime > days * DAY_S:
            yield _going(kind, path, f"older than {days} days (keep.{field})")


def _references(folders: Sequence[Path]) -> set[Path]:
    """Everything that the records of run folders name in the state folder."""
    found: set[Path] = set()
    for folder in folders:
        try:
            raw = read_json(folder / EVIDENCE / KEPT_FILE)
            before, now = Path(raw["run"]["folder"]).parents[1], folder.parents[1]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
        found |= {now / path.relative_to(before) for path in _paths(raw) if path.is_relative_to(before)}
    return found


def _paths(raw: Any) -> Iterator[Path]:
    if isinstance(raw, dict):
        for value in raw.values():
            yield from _paths(value)
    elif isinstance(raw, str) and raw.startswith("/"):
        yield Path(raw)


def _within(folder: Path, references: Collection[Path]) -> bool:
    return any(one.is_relative_to(folder) for one in references)


def _fingerprints(runs: Sequence[Path]) -> list[str]:
    """The beginnings of the datasets' fingerprints, which end the names of runs."""
    return [run.name.partition("~")[0].rpartition("-")[2] for run in runs]


def _ours(path: Path) -> bool:
    """A folder that is at its place; what is being written begins with a dot."""
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def _going(kind: str, path: Path, why: str) -> Going:
    return Going(kind=kind, path=path, why=why, size=size_of(path))
