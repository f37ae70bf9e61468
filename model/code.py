"""The identity of this package's own code (stdlib only)."""

from __future__ import annotations

import hashlib
from pathlib import Path


def code_digest(folder: Path | None = None) -> str:
    """sha256 (hex) of every module of `model`, sub-folders included: what was made by other code is stale.

    Args:
        folder: another package's folder; by default that of `model`.
    """
    root = Path(__file__).parent if folder is None else folder
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()
