"""The lock of a project's releases."""

from __future__ import annotations

from pathlib import Path

from release.home import Home


def release_lock(home: Home, name: str) -> Path:
    """The lock that is held while pointer, aliases and journal of `name` are moved."""
    return home.locks / f"{name}.release.lock"
