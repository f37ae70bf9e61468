"""One signed record: a frozen dataclass as JSON, a signature, and what may stand in its place.

`SignedFormat` writes and reads every signed file of Headgate. Whatever is wrong with a file becomes the one
error of its format, whose message holds no path and nothing that is not signed. Does not know keys
(`serving.store.signing`) nor what a record means.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from model.bundle.plain_files import read_plain
from model.errors import HeadgateError
from model.files import write_bytes
from serving.store import signing

T = TypeVar("T")

MAX_RECORD_BYTES = 2**16
"""Largest file that is read as a signed record, in bytes."""

Layout = Literal["enveloped", "inline", "detached"]
"""Where the signature stands. `enveloped`: `{"record": TEXT, "signature"}`, which signs the bytes of TEXT.
`inline`: among the record's fields, which it signs as `canonical` writes them. `detached`: in a file of its
own, which the caller reads and writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedFormat(Generic[T]):
    """How one kind of record is signed, written and read."""

    record: type[T]
    """A frozen dataclass; JSON must hold all of its fields, each of its type. What a newer version signed
    beside them is covered by the signature and left out."""
    purpose: signing.Purpose
    """Part of what is signed: one kind of record never passes as another."""
    file: str
    """Name of the file, for messages."""
    error: type[HeadgateError]
    """What every fault of a file becomes."""
    layout: Layout = "enveloped"
    unsigned: frozenset[str] = frozenset()
    """Fields of the dataclass that are not part of the record."""

    def fields(self, record: T) -> dict[str, Any]:
        """The record's signed fields by name, values as they are."""
        return {name: getattr(record, name) for name in self._names()}

    def seal(self, record: T, private_key: Path) -> bytes:
        """The bytes of the file, signature included.

        Raises:
            serving.store.signing.KeyProblem: the key can't be used.
            ValueError: a figure is NaN or infinite.
        """
        fields = self.fields(record)
        data = canonical(fields)
        signature = base64.b64encode(signing.sign(data, private_key, self.purpose)).decode()
        shown = fields if self.layout == "inline" else {"record": data.decode()}
        return json.dumps({**shown, "signature": signature}, indent=1).encode()

    def unseal(self, data: bytes, keys: signing.KeySource) -> T:
        """The record in the bytes of a file, once its signature fits.

        Raises:
            HeadgateError: `error`: the file is malformed, or was not signed with this key for this purpose.
            serving.store.signing.KeyProblem: the key can't be used.
        """
        raw = json_object(data, self.file, self.error)
        try:
            signature = base64.b64decode(raw.pop("signature"), validate=True)
            signed = canonical(raw) if self.layout == "inline" else raw["record"].encode()
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self.error(f"{self.file} can't be read as a signed {self.purpose}") from error
        self.verify(signed, signature, keys)
        return self.parse(raw if self.layout == "inline" else json_object(signed, self.file, self.error))

    def write(self, path: Path, record: T, private_key: Path) -> None:
        """Replace the file by this record, signed.

        Raises:
            HeadgateError: `error`: it is larger than what is read.
            OSError: it can't be written; the former file stays.
            serving.store.signing.KeyProblem: the key can't be used.
        """
        data = self.seal(record, private_key)
        if len(data) > MAX_RECORD_BYTES:
            raise self.error(f"{self.file}: {len(data)} bytes, expected at most {MAX_RECORD_BYTES}")
        write_bytes(path, data)

    def read(self, path: Path, keys: signing.KeySource) -> T | None:
        """The record in a file; None where there is no file.

        Raises:
            HeadgateError: as `unseal`, and where the file can't be read or is no plain one.
        """
        try:
            data = read_plain(path, MAX_RECORD_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.error(f"{self.file}: can't be read ({error.strerror})") from error
        return self.unseal(data, keys)

    def verify(self, data: bytes, signature: bytes, keys: signing.KeySource) -> str:
        """The fingerprint of the key whose signature of `data` for this purpose it is; else raise `error`."""
        try:
            return signing.verify(data, signature, keys, self.purpose)
        except signing.BadSignature as error:
            raise self.error(f"{self.file}: {error}") from error

    def parse(self, raw: dict[str, Any]) -> T:
        """The record with these fields; `error` if one of its own is missing or not of its type."""
        names = self._names()
        if missing := [name for name in names if name not in raw]:
            raise self.error(f"{self.file}: the fields {missing} are missing")
        known = {name: raw[name] for name in names}
        kind: Any = self.record  # mypy holds that `type[T]` is not hashable
        try:
            made: T = _checker(kind).validate_json(json.dumps(known), strict=True)
        except ValidationError as error:
            place = error.errors(include_input=False)[0]["loc"][:1]
            raise self.error(
                f"{self.file}: the field {'.'.join(map(str, place))} is not of its type"
            ) from error
        return made

    def _names(self) -> list[str]:
        declared = dataclasses.fields(self.record)  # type: ignore[arg-type]  # T is a dataclass
        return [field.name for field in declared if field.name not in self.unsigned]


def canonical(fields: Mapping[str, Any], indent: int | None = None) -> bytes:
    """The bytes that are signed: JSON with sorted keys.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    return json.dumps(fields, sort_keys=True, indent=indent, allow_nan=False).encode()


def json_object(data: bytes, file: str, error: type[HeadgateError]) -> dict[str, Any]:
    """The JSON object in `data`; anything else, NaN and infinity included, raises `error` about `file`."""
    try:
        raw = json.loads(data, parse_constant=_not_finite)
    except (ValueError, RecursionError) as problem:
        raise error(f"{file}: not JSON") from problem
    if not isinstance(raw, dict):
        raise error(f"{file}: expected a JSON object")
    return raw


@functools.cache
def _checker(record: Any) -> TypeAdapter[Any]:
    return TypeAdapter(record)


def _not_finite(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not a number")
