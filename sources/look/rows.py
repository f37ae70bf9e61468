"""How many rows a file has, without reading it as a table."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl

from sources.formats.locate import InputFile

BLOCK_BYTES = 1 << 22
BYTES_A_ROW = 400
"""Of files whose rows can't be counted by lines: a text of two sentences with its labels."""


def rows_in(file: InputFile) -> int:
    """About how many rows: exact for Parquet; lines of text files, of which a cell may hold several."""
    match file.format:
        case "csv" | "tsv" | "jsonl" | "fasttext" | "label_text" | "prodigy" | "doccano":
            return max(1, _lines(file.path) - (file.format in ("csv", "tsv")))
        case "parquet":
            return int(pl.scan_parquet(file.path).select(pl.len()).collect().item())
        case _:
            return max(1, _bytes(file.path) // BYTES_A_ROW)


def _lines(path: Path) -> int:
    lines, last = 0, b"\n"
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as raw:
        while block := raw.read(BLOCK_BYTES):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(inside.stat().st_size for inside in path.rglob("*") if inside.is_file())
    return path.stat().st_size
