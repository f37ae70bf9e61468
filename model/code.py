"""The identity of this package's own code (stdlib only).

What was trained by other code is other work: caches and cards name this digest.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


@cache
def code_digest() -> str:
    """sha256 (hex) over the names and bytes of the package's `.py` files, in order of name."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.name.encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
