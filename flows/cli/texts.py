"""Texts that a command is given: as arguments, in files, on standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.errors import HeadgateError

STANDARD_INPUT = "-"
AT_ONCE = 64
"""Texts of one request: a quarter of what an endpoint takes by default."""


class NoTexts(HeadgateError):
    """There is nothing to ask about, or a file can't be read."""

    kind = "usage"


def given_texts(arguments: Sequence[str], files: Sequence[Path]) -> list[str]:
    """All texts, in the order in which they were given; files and standard input hold one a line.

    Raises:
        NoTexts: there is none, or a file is not UTF-8.
    """
    texts: list[str] = []
    for argument in arguments:
        if argument == STANDARD_INPUT:
            texts += _lines(sys.stdin.buffer.read(), "standard input")
        else:
            texts.append(argument)
    for file in files:
        texts += _lines(file.read_bytes(), str(file))
    if not texts:
        raise NoTexts("no text was given: name one or more, `-` for standard input, or --file FILE")
    return texts


def _lines(data: bytes, name: str) -> list[str]:
    try:
        lines = data.decode("utf-8-sig").split("\n")
        return [line for text in lines if (line := text.rstrip("\r")).strip()]
    except UnicodeDecodeError as error:
        raise NoTexts(f"{name}: byte {error.start} is not UTF-8; write one text a line, in UTF-8") from error


def in_batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, as many at once as one request takes."""
    for start in range(0, len(texts), AT_ONCE):
        yield list(texts[start : start + AT_ONCE])
