"""Work kept by content: a key that stands for all that the work depends on, and a folder, complete or not.

    entry = Cache(home.cache).entry("baselines", key)
    with entry.making() as folder:
        if folder is not None:
            ...  # nobody had made it: write into the folder
    entry.folder  # complete now

Does not know what is kept. Keys are made with `model.digest.digest`.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .files import locked, write_bytes

COMPLETE = ".complete"
"""File whose presence says that a folder of the cache is whole; written last."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One piece of work."""

    folder: Path
    """Named by the key of the work."""

    @property
    def complete(self) -> bool:
        """Whether the work was done to its end."""
        return (self.folder / COMPLETE).is_file()

    def forget(self) -> None:
        """Have the work done again: what is kept was changed since."""
        (self.folder / COMPLETE).unlink(missing_ok=True)

    @contextlib.contextmanager
    def making(self, *, resume: bool = False) -> Iterator[Path | None]:
        """The folder to write into, or None where the work is complete already, made by another process
        while this one waited, perhaps. The entry is complete once the block ends without an exception.

        Args:
            resume: keep what a process that died left half done; the work itself knows how to go on.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.folder.with_name(f"{self.folder.name}.lock")):
            if self.complete:
                yield None
                return
            if not resume:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(exist_ok=True)
            yield self.folder
            write_bytes(self.folder / COMPLETE, b"")


@dataclass(frozen=True, slots=True)
class Cache:
    """All entries below one folder."""

    root: Path

    def entry(self, kind: str, key: str) -> CacheEntry:
        """The entry of a kind of work, such as `baselines`, under its key."""
        return CacheEntry(self.root / kind / key)
