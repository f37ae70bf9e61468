"""One file kept by content, with its digest beside it: made again where it is no longer what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..cache import CacheEntry
from ..files import file_sha256, write_bytes


def sealed_file(entry: CacheEntry, name: str, make: Callable[[Path], None]) -> tuple[Path, str]:
    """The file `name` of an entry and its sha256; `make` writes it where the entry lacks it.

    Args:
        make: takes the path to write to; not called where the file is kept already.
    """
    file, seal = entry.folder / name, entry.folder / "sha256"
    if entry.complete and seal.read_text() != file_sha256(file):
        entry.forget()
    with entry.making() as folder:
        if folder is not None:
            make(folder / name)
            write_bytes(seal, file_sha256(folder / name).encode())
    return file, seal.read_text()
