"""Signatures over bytes: an Ed25519 key pair (RFC 8032), made on first use, and others trusted beside it.

The private key belongs to whoever approves versions; the endpoint only ever reads public ones. `release.key`
holds the private key and, after it, the public keys that are trusted beside its own; `release.pub` is made
from it: the public key, then the same ones. Does not know what is signed (`serving.store.signed`), nor
whether a project may have a new key (`release.keys`).
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from model.bundle.plain_files import read_plain
from model.errors import HeadgateError
from model.faults import fault
from model.files import locked, write_bytes

PRIVATE_KEY = "release.key"
"""File of the private key in a key folder: PEM, PKCS #8, mode 0600; public keys may follow it."""
PUBLIC_KEY = "release.pub"
"""File of the public key in a key folder: PEM; keys trusted beside it may follow it."""
MAX_KEY_BYTES = 2**16
"""Largest key file that is read."""

Purpose = Literal["release", "pointer", "override", "judgement", "inputs"]
"""What a signature is for. Part of what is signed, so that one kind can't be passed off as another."""

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


class KeyProblem(HeadgateError):
    """A key file is missing, unreadable, of another kind, or open to other users."""

    def __str__(self) -> str:
        return f"{super().__str__()}. Restore a damaged or lost key from a backup; without one: docs/keys.md"


class BadSignature(HeadgateError):
    """The bytes were not signed with the key that was expected."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Public keys that were read: any of them may have signed."""

    keys: tuple[Ed25519PublicKey, ...]
    """The present one first, then those trusted beside it."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of each key, the first half of the sha256 of its 32 bytes, in hex."""
        return tuple(hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32] for key in self.keys)

    def with_more(self, others: PublicKeys) -> PublicKeys:
        """These, then those of `others` that are not among them."""
        return PublicKeys(tuple({key.public_bytes_raw(): key for key in (*self.keys, *others.keys)}.values()))

    def to_pem(self) -> bytes:
        """Content of a key file that holds them."""
        pem = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return b"".join(key.public_bytes(*pem) for key in self.keys)


KeySource = Path | PublicKeys
"""Where the keys are that a signature is verified with: a file, or read before."""


def ensure_key_pair(folder: Path) -> tuple[Path, Path]:
    """Paths of the (private, public) key in `folder`, both made if neither is there yet.

    Several processes may call this at once on an empty folder; all get one pair. A public key file that is
    not what the private one says is made again.

    Raises:
        KeyProblem: the private key exists but can't be used, or only the public one is there.
    """
    private, public = folder / PRIVATE_KEY, folder / PUBLIC_KEY
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not private.exists():
        with locked(folder / ".lock"):
            if not private.exists():
                if public.exists():
                    raise KeyProblem(f"private key {private}: not there, while its public key {public} is")
                _write_private(private, Ed25519PrivateKey.generate())
    _publish(private, public)
    return private, public


def new_key_pair(folder: Path) -> PublicKeys:
    """Exchange the key pair of a folder for a new one; all that was trusted there stays trusted. Gives what
    is trusted from now on, the new key first.

    Raises:
        KeyProblem: a key file is there but can't be used.
    """
    private, public = folder / PRIVATE_KEY, folder / PUBLIC_KEY
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder / ".lock"):
        trusted = PublicKeys(())
        if private.exists():
            trusted = _trusted_by(private)
        elif public.exists():
            trusted = load_public_keys(public)
        _write_private(private, Ed25519PrivateKey.generate(), trusted)
    return _publish(private, public)


def trust_keys(folder: Path, more: PublicKeys) -> PublicKeys:
    """Trust further keys beside the one of a folder; what is trusted then. Without the private key, only
    whoever reads this folder's public key file trusts them.

    Raises:
        KeyProblem: a key file is there but can't be used.
    """
    private, public = folder / PRIVATE_KEY, folder / PUBLIC_KEY
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder / ".lock"):
        if private.exists():
            _write_private(private, load_private_key(private), _trusted_by(private).with_more(more))
            return _publish(private, public)
        trusted = load_public_keys(public).with_more(more) if public.exists() else more
        write_bytes(public, trusted.to_pem())
        return trusted


def forget_former_keys(folder: Path) -> PublicKeys:
    """Trust nothing but the present key of a folder any more.

    Raises:
        KeyProblem: the private key can't be used.
    """
    private = folder / PRIVATE_KEY
    with locked(folder / ".lock"):
        _write_private(private, load_private_key(private))
        return _publish(private, folder / PUBLIC_KEY)


def _write_private(path: Path, key: Ed25519PrivateKey, trusted: PublicKeys | None = None) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own = key.public_key().public_bytes_raw()
    others = () if trusted is None else trusted.keys
    beside = PublicKeys(tuple(other for other in others if other.public_bytes_raw() != own))
    write_bytes(path, pem + beside.to_pem(), mode=0o600)
    fault("key_made")


def _publish(private: Path, public: Path) -> PublicKeys:
    """Make the public key file what the private one says."""
    trusted = _trusted_by(private)
    try:
        same = read_plain(public, MAX_KEY_BYTES) == trusted.to_pem()
    except OSError:
        same = False
    if not same:
        write_bytes(public, trusted.to_pem())
    return trusted


def _trusted_by(private: Path) -> PublicKeys:
    """The public key of a private key file, and those that it says are trusted beside it."""
    own = PublicKeys((load_private_key(private).public_key(),))
    return own.with_more(PublicKeys(_public_keys(_read(private, "private key"), f"private key {private}")))


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file.

    Raises:
        KeyProblem: missing, not an Ed25519 key, or readable by other users.
    """
    data = _read(path, "private key")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyProblem(
            f"private key {path}: its mode is {mode:04o}, so other users may read it; expected 0600. "
            "If nobody has read it, run chmod 600 on it; otherwise make a new one with `headgate keys new`."
        )
    try:
        first = next(block for label, block in _blocks(data) if label.endswith("PRIVATE KEY"))
        key = serialization.load_pem_private_key(first, password=None)
    except (StopIteration, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"private key {path}: not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"private key {path}: expected an Ed25519 key")
    return key


def load_public_keys(path: Path) -> PublicKeys:
    """The public keys in a PEM file.

    Raises:
        KeyProblem: missing, no plain file, or not Ed25519 keys.
    """
    return public_keys_in(_read(path, "public key"), f"public key {path}")


def public_keys_in(pem: bytes, where: str) -> PublicKeys:
    """The public keys in PEM text; `where` is for messages.

    Raises:
        KeyProblem: there is none, or one is not an Ed25519 key.
    """
    keys = _public_keys(pem, where)
    if not keys:
        raise KeyProblem(f"{where}: not a PEM public key")
    return PublicKeys(keys)


def _read(path: Path, what: str) -> bytes:
    """The bytes of a key file, which may be a link."""
    try:
        return read_plain(path, MAX_KEY_BYTES, follow=True)
    except OSError as error:
        raise KeyProblem(f"{what} {path}: can't be read ({error.strerror})") from error


def _blocks(pem: bytes) -> Iterator[tuple[str, bytes]]:
    """(Label, text) of each block."""
    for found in _BLOCK.finditer(pem):
        yield found[1].decode(), found[0] + b"\n"


def _public_keys(pem: bytes, where: str) -> tuple[Ed25519PublicKey, ...]:
    found = []
    for label, block in _blocks(pem):
        if label != "PUBLIC KEY":
            continue
        try:
            key = serialization.load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyProblem(f"{where}: not a PEM public key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise KeyProblem(f"{where}: expected an Ed25519 key")
        found.append(key)
    return tuple(found)


def sign(data: bytes, private_key: Path, purpose: Purpose) -> bytes:
    """The signature (64 bytes) over `data` for one purpose.

    Raises:
        KeyProblem: the key can't be used.
    """
    return load_private_key(private_key).sign(_message(data, purpose))


def verify(data: bytes, signature: bytes, keys: KeySource, purpose: Purpose) -> str:
    """The fingerprint of the key whose signature of `data` for this purpose it is.

    Raises:
        BadSignature: it is that of none of the keys.
        KeyProblem: the keys can't be used.
    """
    trusted = load_public_keys(keys) if isinstance(keys, Path) else keys
    for key, fingerprint in zip(trusted.keys, trusted.fingerprints, strict=True):
        try:
            key.verify(signature, _message(data, purpose))
        except InvalidSignature:
            continue
        return fingerprint
    raise BadSignature(f"the {purpose} signature does not fit its bytes and the key")


def _message(data: bytes, purpose: Purpose) -> bytes:
    return f"headgate {purpose} v1\n".encode() + data
