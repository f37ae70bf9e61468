"""Read one cell: from a string as written to labels. Pure Python, one cell at a time; callers read each
distinct cell once. Does not know files, rows or heads.

A missing cell (None) is *unlabelled*: the result is None. A cell to which no label applies gives `()`. An
empty string is missing too, unless the target has `empty_means_none`.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any, assert_never

from model.bundle.texts import WHITE_SPACE
from sources.errors import quoted
from sources.merge.identity import same_label
from sources.spec import TargetSpec

MAX_LABEL_CHARS = 300
"""Longest label, in characters. A longer one means that the wrong column is read."""


class CellError(ValueError):
    """The cell cannot be read as labels: what was seen, and what was expected."""

    def __init__(self, seen: str, expected: str, advice: str = "", column: str | None = None) -> None:
        super().__init__(seen, expected, advice, column)
        self.seen, self.expected, self.advice = seen, expected, advice
        self.column = column
        """Where a target is read from several columns: the one whose cell it is."""


@dataclass(frozen=True, slots=True)
class CellReader:
    """How the cells of one column are read."""

    target: TargetSpec
    is_list: bool
    """Whether the file itself holds lists in this column (they come as JSON arrays)."""
    multilabel: bool
    lines: tuple[str, ...] = ()
    """Labels of `labels_file`; a cell then holds indices into it."""
    _map: dict[str, str] = field(init=False)
    _drop: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        written = {same_label(k): same_label(v) for k, v in self.target.map.items()}
        object.__setattr__(self, "_map", written)
        object.__setattr__(self, "_drop", frozenset(map(same_label, self.target.drop)))

    def labels(self, cell: str | None) -> tuple[str, ...] | None:
        """Labels in the cell, sorted, each once; None if it is unlabelled.

        Dropped labels are left out. Where nothing is left, *no label applies* for multilabel and the cell is
        unlabelled for multiclass.

        Raises:
            CellError: the cell is not written as the target declares, or holds a blank or huge label.
        """
        if cell is None:
            return None
        if cell == "" and not self.is_list:
            return () if self.target.empty_means_none and self.multilabel else None
        pieces = [self._meant(piece) for piece in self._pieces(cell)]
        kept = {piece for piece in pieces if piece not in self._drop}
        for label in kept:
            _check_label(label)
        if pieces and not kept and not self.multilabel:
            return None
        return tuple(sorted(kept))

    def _pieces(self, cell: str) -> list[str]:
        encoding = self.target.encoding
        if self.is_list and encoding not in ("auto", "list"):
            raise CellError("the cell is a list", f"a string, since `encoding` is `{encoding}`")
        if self.is_list:
            return _array(cell)
        match encoding:
            case "label":
                return [cell]
            case "list":
                return _array(cell)
            case "separator":
                return cell.split(self.target.separator)
            case "letters":
                return list(unicodedata.normalize("NFC", cell))
            case "columns":
                raise CellError("one column with `encoding: columns`", "several 0/1 columns, under `columns`")
            case "auto":
                if self.multilabel and cell[0] == "[" and cell[-1] == "]":
                    raise CellError(
                        "the cell is a string that looks like a list",
                        "one label, as `encoding: auto` reads a column of strings",
                        "Set `encoding: list` for JSON arrays.",
                    )
                return [cell]
            case _:
                assert_never(encoding)

    def _meant(self, piece: str) -> str:
        if self.lines:
            piece = _line(piece, self.lines)
        piece = same_label(piece)
        return self._map.get(piece, piece)


def truth(cell: str | None) -> bool | None:
    """A 0/1 cell: True, False, or None where it is missing or empty.

    `0` and `1`, `false` and `true` in any case; `0.0` and `1.0` too, since tables that pandas wrote
    hold these where a cell is missing elsewhere in the column.

    Raises:
        CellError: anything else.
    """
    if cell is None or cell == "":
        return None
    found = _TRUTH.get(cell.casefold())
    if found is None:
        raise CellError(quoted(cell), "0, 1, true or false, or nothing where it is not known")
    return found


_TRUTH = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}


def _array(cell: str) -> list[str]:
    expected = 'a JSON array of labels, such as ["a", "b"]'
    try:
        found: Any = json.loads(cell, parse_int=str, parse_float=str)
    except (json.JSONDecodeError, RecursionError) as error:
        python = cell.startswith("[") and "'" in cell
        raise CellError(
            "the cell is written as a Python list" if python else "the cell is not JSON",
            expected,
            "Write labels in double quotes (json.dumps), or use `encoding: separator`." if python else "",
        ) from error
    if not isinstance(found, list):
        raise CellError("the cell is JSON, but not an array", expected)
    if any(not isinstance(item, str) for item in found):
        raise CellError("the array holds something that is not a label", expected)
    return found


def _line(piece: str, lines: tuple[str, ...]) -> str:
    expected = f"a line number of the labels file, 0 to {len(lines) - 1}"
    if not (piece.isascii() and piece.isdigit() and piece == str(int(piece[:9]))):
        raise CellError(quoted(piece), expected)
    if int(piece) >= len(lines):
        raise CellError(f"line number {piece}", expected)
    return lines[int(piece)]


def _check_label(label: str) -> None:
    if not label.strip(WHITE_SPACE):
        advice = "A doubled or trailing separator leaves one: correct the cell, or `drop` the blank label."
        raise CellError("a blank label", "labels with at least one visible character", advice)
    if len(label) > MAX_LABEL_CHARS:
        seen = f"a label of {len(label):,} characters"
        raise CellError(seen, f"at most {MAX_LABEL_CHARS}", "Check that this is the column of labels.")
