"""The digest of the code of this package (stdlib only)."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


@cache
def code_digest() -> str:
    """sha256 (hex) of every module of `model`, sub-folders included. It is part of cache keys: results of
    other code are not found."""
    return folder_digest(Path(__file__).parent)


def folder_digest(root: Path) -> str:
    """sha256 (hex) over paths and bytes of the `.py` files below a folder, in order of path."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()
