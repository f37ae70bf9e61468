"""The audited way around a gate: a signed record of who let a version serve, why and how long.

It stands in a file of its own beside the release manifest, so that the verdict stays as it was judged.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from model.errors import HeadgateError
from serving.shown import one_line
from serving.store.signed import SignedFormat
from serving.store.signing import KeySource

OVERRIDE_FILE = "override.json"
CLOCKS_APART_S = 300.0
"""How far the clocks of two machines may be apart, in seconds."""


class OverrideProblem(HeadgateError):
    """An override is malformed, forged or expired. The message holds no paths."""

    kind = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Who let a version serve although its verdict is not a pass."""

    name: str
    """Registered model."""
    version: int
    """Registered version."""
    bundle_sha256: str
    """The bytes that it holds for: sha256 of the bundle's `manifest.json`."""
    reason: str
    """Why, as its author wrote it."""
    by: str
    """User name of its author."""
    created: str
    """When: ISO 8601, UTC."""
    expires: str
    """When it ends: ISO 8601, UTC."""

    @property
    def ends(self) -> float:
        """When it ends, in seconds since 1970; long ago where that can't be read."""
        return _seconds(self.expires, unread=-math.inf)

    @property
    def expired(self) -> bool:
        """Whether its time is over (or can't be read)."""
        return time.time() >= self.ends


_FORMAT = SignedFormat(record=Override, purpose="override", file=OVERRIDE_FILE, error=OverrideProblem)


def write_override(version_dir: Path, override: Override, private_key: Path) -> None:
    """Sign an override and write it into the version's folder, in one file.

    Raises:
        OverrideProblem: it gives no reason in one line, or has expired already.
        serving.store.signing.KeyProblem: the key can't be used.
    """
    if not override.reason.strip():
        raise OverrideProblem("an override needs a reason")
    if one_line(override.reason) != override.reason:
        raise OverrideProblem("an override's reason is one line of text, without control characters")
    if override.expired:
        raise OverrideProblem("an override must expire in the future, as an ISO 8601 time with its zone")
    _FORMAT.write(version_dir / OVERRIDE_FILE, override, private_key)


def read_override(version_dir: Path, keys: KeySource, now: float | None = None) -> Override | None:
    """The override of a version, or None where there is none.

    Args:
        version_dir: folder of the version.
        keys: what it must be signed with.
        now: the time that it must hold at, in seconds since 1970; by default that of the system's clock.

    Raises:
        OverrideProblem: there is one, but it is malformed, forged or expired, or yet to begin: then the clock
            was set back.
    """
    override = _FORMAT.read(version_dir / OVERRIDE_FILE, keys)
    if override is None:
        return None
    now = time.time() if now is None else now
    if now >= override.ends:
        raise OverrideProblem(f"it expired at {override.expires}")
    if now < _seconds(override.created, unread=math.inf) - CLOCKS_APART_S:
        raise OverrideProblem(
            f"it was made at {override.created}, yet to come; set this machine's clock right"
        )
    return override


def sign_override_again(version_dir: Path, keys: KeySource, private_key: Path) -> None:
    """Sign the override of a version again, as it is, if there is one.

    Raises:
        OverrideProblem: there is one, but it is malformed or forged.
        serving.store.signing.KeyProblem: a key can't be used.
    """
    override = _FORMAT.read(version_dir / OVERRIDE_FILE, keys)
    if override is not None:
        _FORMAT.write(version_dir / OVERRIDE_FILE, override, private_key)


def _seconds(moment: str, *, unread: float) -> float:
    """Seconds since 1970 of an ISO 8601 time with its zone; `unread` where it is none."""
    try:
        parsed = datetime.fromisoformat(moment)
    except (ValueError, TypeError):
        return unread
    return unread if parsed.tzinfo is None else parsed.timestamp()
