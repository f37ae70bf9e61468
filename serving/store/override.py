"""The audited way around a gate: a signed record of who let a version serve, why and how long.

It stands in a file of its own beside the release manifest, so that the verdict stays as it was judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model.errors import HeadgateError
from serving.store.signed import SignedFormat

OVERRIDE_FILE = "override.json"


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
    def expired(self) -> bool:
        """Whether its time is over (or can't be read)."""
        try:
            return datetime.now(UTC) >= datetime.fromisoformat(self.expires)
        except (ValueError, TypeError):
            return True


_FORMAT = SignedFormat(record=Override, purpose="override", file=OVERRIDE_FILE, error=OverrideProblem)


def write_override(version_dir: Path, override: Override, private_key: Path) -> None:
    """Sign an override and write it into the version's folder, in one file.

    Raises:
        OverrideProblem: it gives no reason or has expired already.
        serving.store.signing.KeyProblem: the key can't be used.
    """
    if not override.reason.strip():
        raise OverrideProblem("an override needs a reason")
    if override.expired:
        raise OverrideProblem("an override must expire in the future, as an ISO 8601 time with its zone")
    _FORMAT.write(version_dir / OVERRIDE_FILE, override, private_key)


def read_override(version_dir: Path, public_key: Path) -> Override | None:
    """The override of a version, or None where there is none.

    Raises:
        OverrideProblem: there is one, but it is malformed, forged or expired.
    """
    override = _FORMAT.read(version_dir / OVERRIDE_FILE, public_key)
    if override is not None and override.expired:
        raise OverrideProblem(f"it expired at {override.expires}")
    return override
