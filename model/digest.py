"""Content digests: the keys under which work is cached."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any


def digest(*parts: Any) -> str:
    """sha256 (hex) of JSON-like values and dataclasses; equal content gives an equal digest."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"cannot digest a {type(value).__name__}")
