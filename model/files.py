"""Files: written whole or not at all, hashed, locked. The only place where files are staged and renamed.

What is being written lies beside its place and is called `.NAME.PID.WHERE_TOKEN`, so that what a dead process
left is known by its number, and that by where it counts (`release.leftovers`). Does not know what is written.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from .errors import HeadgateError


class FileChanged(HeadgateError):
    """A file is not the one that a reference was made for."""


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
        if not (keep_existing or not target.exists()):
            remove_folder(target)
        made.rename(target)
    except OSError:
        if not (keep_existing and target.is_dir()):
            raise
    fsync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder; renamed first, because one that is half removed must not look like a damaged one."""
    doomed = unfinished_path(folder)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
