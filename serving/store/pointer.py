"""The pointer: the small signed file that says which version of a release folder serves.

It is signed because it decides: without that, whoever may write the folder could bring an old version
back by restoring an old pointer. `sequence` grows with every exchange, so an older pointer is known as
such. Does not know what a version is made of.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from model.errors import HeadgateError
from model.files import write_bytes
from serving.store import signing

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


def write_pointer(path: Path, pointer: Pointer, private_key: Path) -> None:
    """Exchange the pointer file by rename.

    Raises:
        OSError: it can't be written; the old pointer stays.
        serving.store.signing.KeyProblem: the key can't be used.
    """
    record = dataclasses.asdict(pointer)
    signature = signing.sign(_canonical(record), private_key, "pointer")
    text = json.dumps({**record, "signature": base64.b64encode(signature).decode()}, indent=1)
    write_bytes(path, text.encode())


def read_pointer(path: Path, public_key: Path, name: str) -> Pointer | None:
    """The pointer, or None where there is none yet.

    Raises:
        PointerBroken: there is one, but it is malformed, forged or for another model.
        serving.store.signing.KeyProblem: the public key can't be used.
    """
    try:
        with path.open("rb") as file:
            raw = json.loads(file.read(65_536))
        signature = base64.b64decode(raw.pop("signature"), validate=True)
        pointer = Pointer(**raw)
        signing.verify(_canonical(raw), signature, public_key, "pointer")
    except FileNotFoundError:
        return None
    except signing.BadSignature as error:
        raise PointerBroken(str(error)) from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        binascii.Error,
    ) as error:
        raise PointerBroken(f"{POINTER_FILE} can't be read as a signed pointer") from error
    if pointer.name != name:
        raise PointerBroken(f"{POINTER_FILE} was signed for another model than the one that serves here")
    return pointer


def _canonical(record: dict[str, object]) -> bytes:
    return json.dumps(record, sort_keys=True).encode()
