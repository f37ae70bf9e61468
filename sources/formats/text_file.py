"""Open a text file only after all its bytes are known to be text without NUL in its encoding, and unchanged
since. The encoding is UTF-8, what a byte-order mark names, or what the configuration says.

Does not know what is in the lines (`sources.formats.delimited`, `sources.formats.jsonl`).
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sources.errors import DataError, Problem, UnreadableSource
from sources.formats.encodings import guessed_encoding

BLOCK_BYTES = 1 << 22
"""Bytes checked at a time."""

AUTO = "auto"
"""UTF-8, or the encoding that a byte-order mark names."""
UTF_8 = "utf-8-sig"
"""Codec of UTF-8 with or without a byte-order mark."""

_MARKED = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order mark → codec; UTF-16's is the beginning of UTF-32's."""
_GUESSED_FROM = 20_000
"""Bytes before and after the first bad one by which the encoding is guessed."""

_OTHER_CONTENT = (
    (b"\x1f\x8b", "gzip (without the ending .gz)"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow"),
    (b"PK\x03\x04", "a zip archive (or a spreadsheet)"),
    (b"%PDF", "PDF"),
)

STILL = "a file that nobody writes to"


@contextmanager
def refuse_if_changed(file: Path, name: str) -> Iterator[None]:
    """Refuse a file that is replaced or written while the block reads it; messages call it `name`.

    Raises:
        UnreadableSource: the file is missing, not readable, or its size, time of change or inode
            differ after the block from those before it.
    """
    try:
        before = file.stat()
    except OSError as error:
        seen = f"cannot be opened ({error.strerror})"
        raise UnreadableSource(Problem(seen, "a readable file", file=name)) from error
    try:
        yield
    except DataError as error:
        # Half of an old file and half of a new one make no sense together: the change is the cause.
        if (changed := _change(file, before, name)) is not None:
            raise UnreadableSource(changed) from error
        raise
    if (changed := _change(file, before, name)) is not None:
        raise UnreadableSource(changed)


def _change(file: Path, before: os.stat_result, name: str) -> Problem | None:
    """What became of the file since `before`; None if nothing did."""
    try:
        after = file.stat()
    except OSError:
        return Problem("vanished while it was read", file=name)
    if all(getattr(before, f) == getattr(after, f) for f in ("st_size", "st_mtime_ns", "st_ino")):
        return None
    seen = f"changed while it was read ({before.st_size:,} bytes before, {after.st_size:,} after)"
    return Problem(seen, STILL, "Wait until it is complete, or read a copy.", file=name)


@contextmanager
def open_text(file: Path, name: str, encoding: str = AUTO) -> Iterator[io.TextIOWrapper]:
    """The file as text, `.gz` unpacked, a byte-order mark removed, line ends left as they are. Its
    `encoding` is the codec that was used: `UTF_8` unless another was found or asked for.

    Args:
        encoding: a codec of Python, or `AUTO`.

    Raises:
        UnreadableSource: missing, empty, truncated gzip, not in the encoding, or holding NUL bytes; the
            message names the line and the byte in it, and guesses the encoding.
    """
    try:
        with open_bytes(file) as raw:
            codec = _marked(raw.read(4)) if encoding == AUTO else _plain_name(encoding)
        with open_bytes(file) as raw:
            _check_bytes(raw, name) if codec == UTF_8 else _check_codec(raw, name, codec)
        with open_bytes(file) as raw, io.TextIOWrapper(raw, encoding=codec, newline="") as text:
            yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        early = isinstance(error, EOFError)
        seen = "the gzip file ends early" if early else f"not a valid gzip file ({error})"
        raise UnreadableSource(Problem(seen, advice="Copy or download it again.", file=name)) from error
    except UnicodeError as error:  # the check above passed, so these are other bytes
        raise UnreadableSource(Problem("changed while it was read", STILL, file=name)) from error
    except OSError as error:
        seen = f"cannot be read ({error.strerror or error})"
        raise UnreadableSource(Problem(seen, "a readable file", file=name)) from error


def open_bytes(file: Path) -> BinaryIO:
    """The file's bytes, `.gz` unpacked."""
    return gzip.open(file, "rb") if file.name.lower().endswith(".gz") else file.open("rb")  # type: ignore[return-value]


def _marked(start: bytes) -> str:
    """The codec that a byte-order mark names; UTF-8 without one."""
    return next((codec for mark, codec in _MARKED if start.startswith(mark)), UTF_8)


def _plain_name(encoding: str) -> str:
    """Python's own name of a codec; all names of UTF-8 are `UTF_8`, which takes a byte-order mark off."""
    name = codecs.lookup(encoding).name
    return UTF_8 if name in ("utf-8", "utf-8-sig") else name


def read_as(text: io.TextIOWrapper, encoding: str) -> str:
    """What to say of how a file's bytes were read; empty where it is as the configuration says."""
    if encoding != AUTO or text.encoding == UTF_8:
        return ""
    return f"read as {text.encoding} by its byte-order mark (`encoding: {text.encoding}`)"


def _check_codec(raw: BinaryIO, name: str, codec: str) -> None:
    """Find the first byte that is not of the codec, or the first NUL."""
    decoder = codecs.getincrementaldecoder(codec)()
    lines, anything = 0, False
    while True:
        block = raw.read(BLOCK_BYTES)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            line = lines + block[:start].decode(codec, errors="ignore").count("\n") + 1
            seen = f"bytes that are not {codec}"
            advice = "Set the source's `encoding` to another codec, or leave it out for UTF-8."
            raise UnreadableSource(Problem(seen, f"text in {codec}", advice, file=name, line=line)) from error
        anything |= bool(text.removeprefix("\ufeff"))
        if (nul := text.find("\0")) >= 0:
            line = lines + text.count("\n", 0, nul) + 1
            advice = "Set the source's `encoding` to another codec; UTF-16 and UTF-32 hold NUL bytes."
            raise UnreadableSource(
                Problem("a NUL character", f"text in {codec}", advice, file=name, line=line)
            )
        if not block:
            break
        lines += text.count("\n")
    if not anything:
        raise UnreadableSource(
            Problem("the file is empty", advice="Remove it, or write its rows.", file=name)
        )


def _check_bytes(raw: BinaryIO, name: str) -> None:
    """Find the first byte that makes the file unreadable, and where it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines_before = 0
    line_start = b""
    first = True
    while True:
        block = raw.read(BLOCK_BYTES)
        if first:
            _check_start(block, name)
            first = False
        nul = block.find(b"\0")
        if nul >= 0:
            raise _bad_byte(line_start + block, len(line_start) + nul, lines_before, name, "a NUL byte")
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            data = line_start + block
            at = len(line_start) - pending + error.start
            raise _bad_byte(data, at, lines_before, name, f"byte 0x{data[at]:02x}, not UTF-8") from error
        if not block:
            return
        newline = block.rfind(b"\n")
        lines_before += block.count(b"\n")
        line_start = block[newline + 1 :] if newline >= 0 else line_start + block


def _check_start(block: bytes, name: str) -> None:
    """Refuse what is no text file at all by its first bytes."""
    if not block.removeprefix(codecs.BOM_UTF8):
        raise UnreadableSource(
            Problem("the file is empty", advice="Remove it, or write its rows.", file=name)
        )
    for mark, what in _OTHER_CONTENT:
        if block.startswith(mark):
            advice = "Convert it, or set the source's `format`."
            raise UnreadableSource(Problem(f"looks like {what}", "text in UTF-8", advice, file=name, line=1))


def _bad_byte(data: bytes, at: int, lines_before: int, name: str, seen: str) -> UnreadableSource:
    """Where the byte at a place of `data` stands, which begins with a line, and what the file may be in."""
    before = data[:at]
    line = lines_before + before.count(b"\n") + 1
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    seen = f"{seen} at byte {column} of the line"
    guess = guessed_encoding(data[max(at - _GUESSED_FROM, 0) : at + _GUESSED_FROM])
    advice = "Set the source's `encoding` to the codec that the file is in, for instance `encoding: cp1252`."
    if guess is not None:
        advice = f"It looks like {guess}: set the source's `encoding: {guess}` if so."
    return UnreadableSource(Problem(seen, "text in UTF-8", advice, file=name, line=line))
