"""Guess by a file's start which labelling tool wrote it, for the advice of a message. Does not read the
file."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from sources.spec import ExportFormat

HEAD_BYTES = 65_536
"""Bytes from the start of a file that are looked at."""


def guessed_format(file: Path) -> ExportFormat | None:
    """The tool whose file this seems to be; None where nothing tells it, or it cannot be read."""
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as raw:
            head = raw.read(HEAD_BYTES).decode("utf-8-sig", errors="ignore")
    except (OSError, EOFError, zlib.error):
        return None
    if head.lstrip().startswith("__label__"):
        return "fasttext"
    item = _first_item(head.lstrip())
    if isinstance(item, list):
        return "spacy" if len(item) == 2 and isinstance(item[1], dict) and "cats" in item[1] else "json"
    return _tool_of(item) if isinstance(item, dict) else None


def _first_item(head: str) -> Any:
    """The first item of an array, or the first document."""
    inside = head[1:].lstrip() if head.startswith("[") and head[1:].lstrip()[:1] in ("{", "[") else head
    try:
        return json.JSONDecoder().raw_decode(inside)[0]
    except (ValueError, RecursionError):
        return None


def _tool_of(item: dict[str, Any]) -> ExportFormat | None:
    keys = set(item)
    if {"data", "annotations"} <= keys or {"annotation_id", "annotator"} <= keys:
        return "label_studio"
    if "answer" in keys and keys & {"accept", "label", "cats", "_task_hash", "_view_id"}:
        return "prodigy"
    if {"fields", "responses"} <= keys or any(key.endswith(".responses") for key in keys):
        return "argilla"
    if {"text", "cats"} <= keys:
        return "spacy"
    if {"id", "text", "label", "Comments"} <= keys:
        return "doccano"
    several = [value for value in item.values() if isinstance(value, list) and value]
    return "json" if several and isinstance(several[0][0], list | dict) and "text" not in keys else None


def advice_for(file: Path, advice: str) -> str:
    """What to do about a file that cannot be read as it is: set the format that it seems to have, else
    `advice`."""
    guess = guessed_format(file)
    return advice if guess is None else f"It looks like `format: {guess}` (docs/formats.md): set it."
