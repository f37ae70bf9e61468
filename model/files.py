"""Files: written whole or not at all, hashed, locked. The only place where files are staged and renamed.

What is being written lies beside its place and is called `.NAME.PID.WHERE_TOKEN`, so that what a dead process
left is known by its number, and that by where it counts (`release.leftovers`). A record is read back as far
as this version knows it, or refused with its place (`read_record`). Does not know what records mean.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from filelock import FileLock

from .bundle.plain_files import read_plain
from .errors import HeadgateError

T = TypeVar("T")
MOST_RECORD_BYTES = 32 * 2**20
"""Largest file that is read as a record."""


class FileChanged(HeadgateError):
    """A file is not the one that a reference was made for."""


class RecordDamaged(HeadgateError):
    """A file does not hold the record that was written; the message says what was seen there, not where."""


def unfinished_path(path: Path) -> Path:
    """A name beside `path` for what will become it, which no other process or thread uses."""
    return path.with_name(f"{unfinished_prefix(path.name)}{secrets.token_hex(4)}")


def unfinished_prefix(name: str) -> str:
    """How the name begins of what this process is writing and will be called `name`; a token follows."""
    return f".{name}.{os.getpid()}.{process_space()}_"


@functools.cache
def process_space() -> str:
    """Where this process's number counts: 8 hex digits that are others on another machine, after a restart of
    this one, and in a container with numbers of its own."""
    try:
        numbers = Path("/proc/self/ns/pid").stat().st_ino
        where = f"{Path('/proc/sys/kernel/random/boot_id').read_text()} {numbers}"
    except OSError:
        where = platform.node()
    return hashlib.sha256(where.encode()).hexdigest()[:8]


def fsync_folder(folder: Path) -> None:
    """Bring a folder's entries (names made, renamed or removed in it) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Bring every file and folder below `folder`, and the folder itself, to the disk."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            fsync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write to, which replaces `path` when the block ends: a crash at any moment leaves the old
    content or the new, never a part.

    Raises:
        OSError: the disk is full or the folder may not be written; `path` is as it was.
    """
    _refuse_folder(path)
    beside = unfinished_path(path)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


@contextlib.contextmanager
def replacing_path(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """As `replacing`, for a library that writes to a path of its own: yields the path to write to.

    Raises:
        OSError: the disk is full or the folder may not be written; `path` is as it was.
    """
    _refuse_folder(path)
    beside = unfinished_path(path)
    try:
        yield beside
        beside.chmod(mode)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    fsync_folder(path.parent)


def _refuse_folder(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(f"{path}: seen a folder, expected a file. Move it away and run again")


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by a file with `data`, whole or not at all.

    Raises:
        OSError: the disk is full or the folder may not be written; `path` is as it was.
    """
    with replacing(path, mode) as file:
        file.write(data)


def write_json(path: Path, value: Any, *, indent: int | None = 1, mode: int = 0o644) -> None:
    """Replace `path` by `value` as JSON, whole or not at all.

    Raises:
        ValueError: it holds NaN or an infinity.
        OSError: the disk is full or the folder may not be written; `path` is as it was.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode("utf-8"), mode)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file and bring it to the disk, one writer at a time.

    A line that a crash cut short was never acknowledged; it is removed first.

    Raises:
        OSError: the disk is full or not writable; the file is as it was.
    """
    fresh = not path.exists()
    with locked(path.with_name(f"{path.name}.lock")), path.open("a+b") as file:
        whole = path.read_bytes().rfind(b"\n") + 1
        file.truncate(whole)
        try:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(whole)
            raise
    if fresh:
        fsync_folder(path.parent)


def read_json(path: Path) -> Any:
    """What the JSON file says.

    Raises:
        OSError: it can't be read.
        ValueError: it is not JSON.
    """
    return json.loads(path.read_bytes())


def plain_bytes(path: Path, most_bytes: int = MOST_RECORD_BYTES) -> bytes | None:
    """The bytes of a plain file, or of what a link leads to; None where there is nothing at all. Never waits.

    Raises:
        RecordDamaged: it can't be read, is a folder, a pipe or a link to nothing, or is larger than that.
    """
    try:
        return read_plain(path, most_bytes, follow=True)
    except FileNotFoundError as error:
        if not path.is_symlink():
            return None
        raise RecordDamaged("a link to nothing") from error
    except OSError as error:
        raise RecordDamaged(f"can't be read ({error.strerror})") from error


def read_record(path: Path, kind: type[T]) -> T | None:
    """The dataclass `kind` that a JSON file holds; None where there is no file. See `as_record`.

    Raises:
        RecordDamaged: the file does not hold one.
    """
    data = plain_bytes(path)
    if data is None:
        return None
    return as_record(parse_json(data), kind)


def parse_json(data: bytes) -> Any:
    """What JSON says.

    Raises:
        RecordDamaged: it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordDamaged("empty" if not data.strip() else "not JSON") from error


def as_record(raw: Any, kind: type[T]) -> T:
    """The dataclass `kind` that parsed JSON holds, as far as this version knows it: fields that a newer
    version added are left out, those that an older one lacked have their default.

    Raises:
        RecordDamaged: a field without a default is missing, or one is not of its type.
    """
    if not isinstance(raw, Mapping):
        raise RecordDamaged("expected a JSON object")
    known: dict[str, Any] = {}
    hints = _hints(typing.cast(Any, kind))
    for one in dataclasses.fields(kind):  # type: ignore[arg-type]  # T is a dataclass
        hint = hints[one.name]
        if one.name not in raw:
            if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
                raise RecordDamaged(f"the field {one.name!r} is missing")
        elif raw[one.name] is not None and (inner := _record_in(hint)) is not None:
            known[one.name] = as_record(raw[one.name], inner)
        elif _fits(raw[one.name], hint):
            known[one.name] = raw[one.name]
        else:
            raise RecordDamaged(f"the field {one.name!r} is not of its type")
    return kind(**known)


def with_unknown(record: Any, kept: Any) -> dict[str, Any]:
    """The fields of a dataclass for JSON, and beside them those that the parsed JSON `kept` has and this
    version does not know: what a newer one wrote is not lost when a record is written anew."""
    before = kept if isinstance(kept, Mapping) else {}
    known = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    nested = {
        name: with_unknown(value, before.get(name))
        for name, value in known.items()
        if dataclasses.is_dataclass(value)
    }
    return {**{name: value for name, value in before.items() if name not in known}, **known, **nested}


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _record_in(hint: Any) -> Any:
    """The dataclass of a field that holds one, or one or nothing; None of any other field."""
    several = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if several else (hint,)
    found = [one for one in kinds if isinstance(one, type) and dataclasses.is_dataclass(one)]
    return found[0] if len(found) == 1 else None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value may stand in a field of this type. Of a `Literal` the type counts: a newer version
    may know more words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is typing.Literal:
        return type(value) in {type(one) for one in inner}
    kind = origin or hint
    if kind is types.NoneType or not isinstance(kind, type):
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


@contextlib.contextmanager
def replacing_folder(target: Path, *, keep_existing: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which becomes `target` when the block ends; it is removed if the block fails.

    Args:
        keep_existing: where `target` is there by then, leave it: another process made the same. Else it is
            replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = unfinished_path(target)
    beside.mkdir()
    try:
        yield beside
        fsync_tree(beside)
        move_folder(beside, target, keep_existing=keep_existing)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def move_folder(made: Path, target: Path, *, keep_existing: bool = False) -> None:
    """Rename a finished folder to `target`; see `replacing_folder`."""
    try:
        if not keep_existing or not target.is_dir():
            remove_folder(target)
        made.rename(target)
    except OSError:
        if not (keep_existing and target.is_dir()):
            raise
    fsync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder, or the file or link in its place, if there is any. Renamed first, because one that is
    half removed must not look like a damaged one."""
    doomed = unfinished_path(folder)
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        doomed.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_digests(folder: Path) -> dict[str, str]:
    """Path below `folder` → sha256 of each file. Names that begin with a dot (locks, caches) are left out."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path: path.relative_to(folder) for path in found}
    return {
        str(name): file_sha256(path)
        for path, name in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def holds_files(folder: Path, list_file: Path) -> bool:
    """Whether every file below `folder` that `list_file` names, as `file_digests` gave them, is still as it
    was. Files that were added since do not count."""
    try:
        written = read_json(list_file)
        return bool(written) and all(
            (folder / name).is_file() and file_sha256(folder / name) == sha256
            for name, sha256 in written.items()
        )
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def unchanged(path: str | Path, sha256: str) -> Path:
    """The path, if the file still has this digest: evidence is judged as it was measured, or not at all.

    Raises:
        FileChanged: it was changed, or is gone.
    """
    found = Path(path)
    seen = file_sha256(found) if found.is_file() else "none"
    if seen != sha256:
        raise FileChanged(
            f"{found}: its sha256 is {seen[:12]}, expected {sha256[:12]}: it was changed since it was "
            "written. Run again"
        )
    return found


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float = -1) -> Iterator[None]:
    """Hold the lock file `path`, across threads and processes; the system frees it when its holder dies. Not
    reentrant.

    Args:
        timeout_s: how long to wait for whoever holds it, in seconds; negative: for ever.

    Raises:
        TimeoutError: it was held all that time.
    """
    with FileLock(path, timeout=timeout_s, thread_local=False):
        yield
