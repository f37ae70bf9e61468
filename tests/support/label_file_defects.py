"""What can be wrong with the bytes and the signs of a file of labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sources.spec import SourceSpec
from tests.support.label_defects import DEFECTS, MULTICLASS, ROWS, SPLIT, TOPIC
from tests.support.label_files import TEXT_FORMATS, Make, Project, topic_rows, write


def in_bytes(how: Callable[[str], bytes], **spec: Any) -> Make:
    """A good text file, written in another way."""

    def make(format: str, folder: Path, seed: int) -> Project:
        rows = topic_rows(ROWS, seed)
        for row in rows[::5]:
            row["text"] += " café à la crème"
        meant = {row["text"]: row[TOPIC] for row in rows}
        path = folder / f"rows.{format}"
        write(rows, path)
        path.write_bytes(how(path.read_text()))
        source = SourceSpec(path=path.name, heads={TOPIC: TOPIC}, **spec)
        return Project(sources={"rows": source}, heads={TOPIC: MULTICLASS}, meant=meant, split=SPLIT)

    return make


IN_BYTES: dict[str, Make] = {
    "cp1252": in_bytes(lambda text: text.encode("cp1252")),
    "cp1252, named": in_bytes(lambda text: text.encode("cp1252"), encoding="cp1252"),
    "mac_roman": in_bytes(lambda text: text.encode("mac_roman")),
    "UTF-16 with a mark": in_bytes(lambda text: text.encode("utf-16")),
    "UTF-16 without a mark": in_bytes(lambda text: text.encode("utf-16-le")),
    "UTF-8 with a mark": in_bytes(lambda text: text.encode("utf-8-sig")),
    "lone carriage returns": in_bytes(lambda text: text.replace("\n", "\r").encode()),
    "mixed line ends": in_bytes(
        lambda text: text.replace("\n", "\r\n", 40).replace("\r\n", "\r", 20).encode()
    ),
}
"""What only text files can have."""


def _delimited(sign: str, before: str = "", headed: bool = True, **spec: Any) -> Make:
    def make(format: str, folder: Path, seed: int) -> Project:
        rows = topic_rows(ROWS, seed)
        meant = {row["text"]: row[TOPIC] for row in rows}
        lines = [f"text{sign}topic"] * headed + [f"{row['text']}{sign}{row[TOPIC]}" for row in rows]
        (folder / f"rows.{format}").write_bytes((before + "\n".join(lines) + "\n").encode())
        source = SourceSpec(path=f"rows.{format}", heads={TOPIC: TOPIC}, **spec)
        return Project(sources={"rows": source}, heads={TOPIC: MULTICLASS}, meant=meant, split=SPLIT)

    return make


DELIMITED: dict[str, Make] = {
    "semicolons": _delimited(";"),
    "semicolons, announced": _delimited(";", "sep=;\n"),
    "semicolons, announced after a mark": _delimited(";", "\ufeffsep=;\r\n"),
    "bars": _delimited("|"),
    "carets": _delimited("^"),
    "carets, named": _delimited("^", delimiter="^"),
    "no header": _delimited(";", headed=False),
    "no header, named": _delimited(";", headed=False, header=False, names=("text", TOPIC)),
}
"""What only delimited files can have."""


def planted(format: str) -> dict[str, Make]:
    """All defects that a format can have."""
    more = IN_BYTES if format in TEXT_FORMATS else {}
    return DEFECTS | more | (DELIMITED if format in ("csv", "tsv") else {})
