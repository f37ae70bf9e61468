"""The files of a bundle: their names, the manifest, and reading them strictly.

Does not know graphs or tokenizers. Axes: B texts, L labels of one head.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .card import SCHEMA_VERSION, Card
from .errors import BundleFileError, CardError
from .plain_files import MOST_BYTES, open_plain, read_plain

MODEL, TOKENIZER, CARD, GOLDEN, MANIFEST = (
    *("model.onnx", "tokenizer.json", "card.json", "golden.json", "manifest.json"),
)
LISTED = (MODEL, TOKENIZER, CARD, GOLDEN)
"""The files of the manifest; with the manifest itself, all files of a bundle."""


def read_bytes(path: Path) -> bytes:
    """A small file's bytes.

    Raises:
        BundleFileError: it is absent, unreadable, no plain file or too large.
    """
    try:
        return read_plain(path, MOST_BYTES[path.name], follow=True)
    except OSError as error:
        raise BundleFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_json(raw: bytes, path: Path) -> Any:
    """The value of the JSON in `raw`; `path` is named in messages.

    Raises:
        CardError: it is not JSON, or holds NaN or an infinity.
    """
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CardError(f"{path}: not JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"seen {name}, expected a finite number")


def check_files(folder: Path, manifest: bytes) -> dict[str, bytes]:
    """Contents of the listed files, but for the graph, which is large: file → bytes, as hashed.

    Raises:
        BundleFileError: a file is missing, extra, unreadable, or has another size or sha256.
        CardError: the manifest does not list exactly the files of a bundle.
    """
    raw = parse_json(manifest, folder / MANIFEST)
    known = isinstance(raw, dict) and raw.get("schema_version") == SCHEMA_VERSION
    listed = raw.get("files") if known else None
    if not isinstance(listed, dict) or set(listed) != set(LISTED):
        raise CardError(f"{folder / MANIFEST}: expected schema version 1 and the files {', '.join(LISTED)}")
    present = {entry.name for entry in folder.iterdir()}
    for name in sorted(present - {*LISTED, MANIFEST}):
        raise BundleFileError(f"{folder}: seen {name!r}, expected nothing beside the manifest and its files")
    contents: dict[str, bytes] = {}
    for name in LISTED:
        path, expected = folder / name, listed[name] if isinstance(listed[name], dict) else {}
        total, size, contents[name] = hashlib.sha256(), 0, b""
        try:
            with open_plain(path, MOST_BYTES[name], follow=True) as file:
                while piece := file.read(1 << 20):
                    total.update(piece)
                    size += len(piece)
                    contents[name] += piece if name != MODEL else b""
        except OSError as error:
            raise BundleFileError(f"{path}: cannot be read: {error.strerror or error}") from error
        if size != expected.get("bytes"):
            raise BundleFileError(f"{path}: seen {size} bytes, expected {expected.get('bytes')}")
        if total.hexdigest() != expected.get("sha256"):
            raise BundleFileError(
                f"{path}: seen sha256 {total.hexdigest()[:12]}…, expected another one "
                f"({str(expected.get('sha256'))[:12]}…): the file was changed or damaged"
            )
    return contents


def parse_golden(raw: Any, path: Path, card: Card) -> tuple[list[str], dict[str, NDArray[Any]], float]:
    """Golden texts, head → probabilities (B, L), and the largest difference allowed.

    Raises:
        CardError: something is missing, of another shape, or not finite.
    """
    try:
        texts, tolerance = list(raw["texts"]), float(raw["tolerance"])
        "".join(texts).encode("utf-8")
        expected = {head: np.asarray(raw["probabilities"][head], np.float64) for head in card.heads}
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(f"{path}: expected texts, tolerance, probabilities a head: {error}") from error
    if not texts or not (math.isfinite(tolerance) and 0 < tolerance < 0.5):
        raise CardError(f"{path}: expected at least one text and a tolerance between 0 and 0.5")
    for head, values in expected.items():
        shape = (len(texts), len(card.heads[head].labels))
        if values.shape != shape or not np.isfinite(values).all():
            raise CardError(f"{path}: head {head}: seen {values.shape}, expected {shape} finite figures")
    return texts, expected, tolerance
