"""Content digests: the keys under which work is cached."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any


def digest(*parts: Any) -> str:
    """sha256 (hex) of JSON-like values and dataclasses; equal content gives an equal digest."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"cannot digest a {type(value).__name__}")


class FileChanged(Exception):
    """A file is not the one that a reference was made for."""


def unchanged(path: str | Path, sha256: str) -> Path:
    """The path, if the file still has this digest: evidence is judged as it was measured, or not at all.

    Raises:
        FileChanged: it was changed, or is gone.
    """
    found = Path(path)
    seen = file_sha256(found) if found.is_file() else "none"
    if seen != sha256:
        raise FileChanged(
            f"{found}: its sha256 is {seen[:12]}, expected {sha256[:12]}: it was changed since it was "
            "written. Run again"
        )
    return found
