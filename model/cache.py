"""Work kept by content: a key that stands for all that the work depends on, and a folder, whole or not.

    entry = Cache(home.cache).entry("baselines", key)
    with entry.making() as folder:
        if folder is not None:
            ...  # nobody had made it, or it was damaged since: write into the folder
    entry.folder  # whole now

Whoever takes something out goes through `making` or `take`, which look at every byte. Does not know what is
kept. Keys are made with `model.digest.digest`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import file_digests, holds_files, locked, read_json, remove_folder, write_json

COMPLETE = ".complete"
"""File whose presence says that a folder of the cache is whole, with the sha256 of each of its files; written
last."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One piece of work."""

    folder: Path
    """Named by the key of the work."""

    @property
    def complete(self) -> bool:
        """Whether the work was done to its end. That nobody changed it since is not looked at."""
        return (self.folder / COMPLETE).is_file()

    def sha256(self, name: str) -> str:
        """sha256 (hex) of the file `name` of a whole entry, as it was when the work ended.

        Raises:
            OSError: the entry is not complete.
            KeyError: it has no such file.
        """
        return str(read_json(self.folder / COMPLETE)[name])

    @contextlib.contextmanager
    def making(self, *, resume: bool = False) -> Iterator[Path | None]:
        """The folder to write into, or None where the work is there, whole: made by another process while
        this one waited, perhaps. The entry is complete once the block ends without an exception.

        Args:
            resume: keep what a process that died left half done; the work itself knows how to go on. Work
                that was complete and is damaged is done again from its beginning.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.folder.with_name(f"{self.folder.name}.lock")):
            if self.take():
                yield None
                return
            if not (resume and self._begun()):
                remove_folder(self.folder)
            self.folder.mkdir(exist_ok=True)
            yield self.folder
            write_json(self.folder / COMPLETE, file_digests(self.folder))

    def take(self) -> bool:
        """Whether the work is there and every file as it was written; others may have been added. This counts
        as a use."""
        whole = self.complete and holds_files(self.folder, self.folder / COMPLETE)
        if whole:
            with contextlib.suppress(OSError):  # of a folder that others made
                os.utime(self.folder / COMPLETE)  # when it was used last decides how long it is kept
        return whole

    def _begun(self) -> bool:
        """Whether the folder holds work that was never complete."""
        return self.folder.is_dir() and not os.path.lexists(self.folder / COMPLETE)


@dataclass(frozen=True, slots=True)
class Cache:
    """All entries below one folder."""

    root: Path

    def entry(self, kind: str, key: str) -> CacheEntry:
        """The entry of a kind of work, such as `baselines`, under its key."""
        return CacheEntry(self.root / kind / key)


def sweep_unfinished(root: Path, kinds: Sequence[str], older_than_s: float) -> list[str]:
    """Remove work below a cache that was begun and never went on: `KIND/KEY` of each.

    Args:
        kinds: of work that is resumed.
        older_than_s: how long nobody has written to it, in seconds.
    """
    done = []
    for kind in kinds:
        begun = [path for path in (root / kind).glob("[!.]*") if path.is_dir()]
        for folder in begun:
            if CacheEntry(folder).complete or time.time() - _last_written(folder) < older_than_s:
                continue
            with (
                contextlib.suppress(TimeoutError),  # somebody goes on with it now
                locked(folder.with_name(f"{folder.name}.lock"), timeout_s=0),
            ):
                remove_folder(folder)
                done.append(f"{kind}/{folder.name}")
    return done


def _last_written(folder: Path) -> float:
    """When anything in a folder was written last, in seconds since 1970; now, if it is gone."""
    try:
        return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return time.time()
