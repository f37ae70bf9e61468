"""Opening a file that somebody else may have put there: a plain one of a bounded size, without waiting.

A named pipe in a file's place would hold its reader for ever, and a link can be turned elsewhere after it was
looked at. Standard library only; does not know what the files hold.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

MOST_BYTES = {
    "model.onnx": 16 * 2**30,
    "tokenizer.json": 2**28,
    "card.json": 2**26,
    "golden.json": 2**26,
    "manifest.json": 2**20,
}
"""File of a bundle → largest size that is read, in bytes."""


def open_plain(path: Path, most_bytes: int, *, follow: bool = False) -> BufferedReader:
    """A plain file, open for reading. Folders above it may be links.

    Args:
        path: the file.
        most_bytes: largest size that is read.
        follow: whether the file itself may be a link to a plain file, as what Kubernetes mounts is.

    Raises:
        OSError: it can't be opened, is a link (unless `follow`), a pipe, a device or a folder, or is larger.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "a link, expected a plain file", str(path)) from error
        raise
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        _refuse_larger(about.st_size, most_bytes, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, most_bytes: int, *, follow: bool = False) -> bytes:
    """The bytes of a plain file; see `open_plain`.

    Raises:
        OSError: as `open_plain`, and where it can't be read.
    """
    with open_plain(path, most_bytes, follow=follow) as file:
        data = file.read(most_bytes + 1)
    _refuse_larger(len(data), most_bytes, path)
    return data


def plain_sha256(path: Path, most_bytes: int) -> str:
    """sha256 (hex) of the bytes of a plain file; see `open_plain`.

    Raises:
        OSError: as `open_plain`, and where it can't be read.
    """
    with open_plain(path, most_bytes) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_larger(size: int, most_bytes: int, path: Path) -> None:
    if size > most_bytes:
        raise OSError(errno.EFBIG, f"larger than {most_bytes} bytes", str(path))
