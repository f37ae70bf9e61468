"""Signatures over bytes: an Ed25519 key pair (RFC 8032), made on first use.

The private key belongs to whoever approves versions; the endpoint only ever reads the public one.
Does not know what is signed.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, write_bytes

PRIVATE_KEY = "release.key"
"""File of the private key in a key folder: PEM, PKCS #8, mode 0600."""
PUBLIC_KEY = "release.pub"
"""File of the public key in a key folder: PEM."""

Purpose = Literal["release", "pointer", "override", "judgement"]
"""What a signature is for. Part of what is signed, so that one kind can't be passed off as another."""


class KeyProblem(HeadgateError):
    """A key file is missing, unreadable, of another kind, or open to other users."""

    def __str__(self) -> str:
        return f"{super().__str__()}. A damaged or lost key is restored from a backup"


class BadSignature(HeadgateError):
    """The bytes were not signed with the key that was expected."""


def ensure_key_pair(folder: Path) -> tuple[Path, Path]:
    """Paths of the (private, public) key in `folder`, both made if the private one is not there yet.

    Several processes may call this at once on an empty folder; all get one pair.

    Raises:
        KeyProblem: the private key exists but can't be used.
    """
    private, public = folder / PRIVATE_KEY, folder / PUBLIC_KEY
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not private.exists():
        with locked(folder / ".lock"):
            if not private.exists():
                _make_private_key(private)
    pem = (
        load_private_key(private)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    if not public.exists() or public.read_bytes() != pem:
        write_bytes(public, pem)
    return private, public


def _make_private_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_bytes(path, pem, mode=0o600)
    fault("key_made")


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file.

    Raises:
        KeyProblem: missing, not an Ed25519 key, or readable by other users.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pem = path.read_bytes()
    except OSError as error:
        raise KeyProblem(f"private key {path}: can't be read ({error.strerror})") from error
    if mode & 0o077:
        raise KeyProblem(
            f"private key {path}: its mode is {mode:04o}, so other users may read it; expected 0600. "
            "If nobody has read it, run chmod 600 on it; otherwise delete it and release again."
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"private key {path}: not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"private key {path}: expected an Ed25519 key")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises:
        KeyProblem: missing or not an Ed25519 key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyProblem(f"public key {path}: can't be read ({error.strerror})") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"public key {path}: not a PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"public key {path}: expected an Ed25519 key")
    return key


def sign(data: bytes, private_key: Path, purpose: Purpose) -> bytes:
    """The signature (64 bytes) over `data` for one purpose.

    Raises:
        KeyProblem: the key can't be used.
    """
    return load_private_key(private_key).sign(_message(data, purpose))


def verify(data: bytes, signature: bytes, public_key: Path, purpose: Purpose) -> None:
    """Return if `signature` is that of `data` for this purpose.

    Raises:
        BadSignature: it is not.
        KeyProblem: the key can't be used.
    """
    try:
        load_public_key(public_key).verify(signature, _message(data, purpose))
    except InvalidSignature as error:
        raise BadSignature(f"the {purpose} signature does not fit its bytes and the key") from error


def _message(data: bytes, purpose: Purpose) -> bytes:
    return f"headgate {purpose} v1\n".encode() + data
