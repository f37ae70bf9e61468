"""The pointer: the small signed file that says which version of a release folder serves.

It is signed because it decides: without that, whoever may write the folder could bring an old version
back by restoring an old pointer. `sequence` grows with every exchange, so an older pointer is known as
such. Does not know what a version is made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.errors import HeadgateError
from serving.store.signed import SignedFormat
from serving.store.signing import KeySource

POINTER_FILE = "current"


class PointerBroken(HeadgateError):
    """The pointer is malformed, forged or for another model. The message holds no paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Which version serves."""

    name: str
    """Registered model."""
    version: int
    """Version that serves."""
    sequence: int
    """How many exchanges there have been, this one included."""
    approval: int
    """Highest `ReleaseManifest.sequence` that was ever pointed at: an older approval may return only by
    rolling back."""
    previous: int | None = None
    """Version that served before."""


_FORMAT = SignedFormat(
    record=Pointer, purpose="pointer", file=POINTER_FILE, error=PointerBroken, layout="inline"
)


def write_pointer(path: Path, pointer: Pointer, private_key: Path) -> None:
    """Exchange the pointer file by rename.

    Raises:
        OSError: it can't be written; the old pointer stays.
        serving.store.signing.KeyProblem: the key can't be used.
    """
    _FORMAT.write(path, pointer, private_key)


def read_pointer(path: Path, keys: KeySource, name: str) -> Pointer | None:
    """The pointer, or None where there is none yet.

    Raises:
        PointerBroken: there is one, but it is malformed, forged or for another model.
        serving.store.signing.KeyProblem: the public key can't be used.
    """
    pointer = _FORMAT.read(path, keys)
    return None if pointer is None else _of_model(pointer, name)


def parse_pointer(text: str, keys: KeySource, name: str) -> Pointer:
    """The pointer in what a pointer file holds, wherever that is kept.

    Raises:
        PointerBroken: as `read_pointer`.
        serving.store.signing.KeyProblem: the public key can't be used.
    """
    return _of_model(_FORMAT.unseal(text.encode(), keys), name)


def _of_model(pointer: Pointer, name: str) -> Pointer:
    if pointer.name != name:
        raise PointerBroken(f"{POINTER_FILE} was signed for another model than the one that serves here")
    return pointer
