"""Read one cell: from a string as written to labels. Pure Python, one cell at a time; callers read each
distinct cell once. Does not know files, rows or heads.

A missing cell (None) is *unlabelled*: the result is None. A cell to which no label applies gives `()`. An
empty string is missing too, unless the target has `empty_means_none`.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from model.bundle.texts import WHITE_SPACE
from sources.errors import quoted
from sources.labels.doubts import BIT
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


Reading = tuple[tuple[str, ...] | None, int]
"""Labels of a cell, and its doubts (`sources.labels.doubts.BIT`)."""


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
    _missing: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        written = {_trimmed(k): same_label(v) for k, v in self.target.map.items()}
        object.__setattr__(self, "_map", written)
        object.__setattr__(self, "_drop", frozenset(map(same_label, self.target.drop)))
        object.__setattr__(self, "_missing", frozenset(map(_trimmed, self.target.missing)))

    def labels(self, cell: str | None) -> tuple[str, ...] | None:
        """Labels in the cell, sorted, each once; None if it is unlabelled. As `read`, without doubts."""
        return self.read(cell)[0]

    def read(self, cell: str | None) -> Reading:
        """Labels in the cell, sorted, each once, without blanks around them; None if it is unlabelled.

        Dropped labels are left out. Where nothing is left, *no label applies* for multilabel and the cell is
        unlabelled for multiclass, as it is for an empty list.

        Raises:
            CellError: the cell is not written as the target declares, or holds a blank or huge label.
        """
        if cell is None or (self._missing and _trimmed(cell) in self._missing):
            return None, 0
        if cell == "" and not self.is_list:
            return (() if self.target.empty_means_none and self.multilabel else None), 0
        written, doubts = self.pieces(cell)
        if self.target.names:
            written = self._at_positions(written)
        trimmed = [_trimmed(piece) for piece in written]
        if self.target.encoding != "separator" and any(map(_has_blanks, written)):
            doubts |= BIT["labels_stripped"]
        present = [piece for piece in trimmed if piece not in self._missing]
        pieces = [self._meant(piece) for piece in present]
        kept = {piece for piece in pieces if piece not in self._drop}
        for label in kept:
            _check_label(label)
        if not written and not self.multilabel:
            return None, doubts | BIT["empty_lists"]
        if written and not kept and not (self.multilabel and present):
            return None, doubts
        return tuple(sorted(kept)), doubts

    def pieces(self, cell: str) -> tuple[list[str], int]:
        """What a cell holds, as written, and its doubts.

        Raises:
            CellError: the cell is not written as the target declares.
        """
        encoding = self.target.encoding
        if self.is_list and encoding not in ("auto", "list"):
            raise CellError("the cell is a list", f"a string, since `encoding` is `{encoding}`")
        if self.target.threshold is not None and cell.startswith("{"):
            return _above(cell, self.target.threshold), 0
        if self.is_list:
            return _array(cell), 0
        match encoding:
            case "label":
                return [cell], 0
            case "list":
                return _array(cell), 0
            case "separator":
                return cell.split(self.target.separator), 0
            case "letters":
                return list(unicodedata.normalize("NFC", cell)), 0
            case "columns":
                raise CellError("one column with `encoding: columns`", "several 0/1 columns, under `columns`")
            case "auto":
                return self._plain(cell)
            case _:
                assert_never(encoding)

    def _plain(self, cell: str) -> tuple[list[str], int]:
        """One label, or the choices of a labelling tool; what is written like several labels is refused."""
        if self.target.names:
            return _array(cell), 0
        if cell[0] == "{" and (choices := _choices(cell)) is not None:
            return choices, BIT["choices_read"]
        if structure := _structure(cell, bracketed=self.multilabel):
            kind, advice = structure
            raise CellError(
                f"the cell is a string that looks like {kind}",
                "one label, as `encoding: auto` reads a column of strings",
                f"{advice}; `encoding: label` takes such cells as labels.",
            )
        return [cell], 0

    def _at_positions(self, written: list[str]) -> list[str]:
        """The names of the positions that are set, or whose score reaches the threshold."""
        names, threshold = self.target.names, self.target.threshold
        expected = f"{len(names)} flags or scores, one for each of `names`"
        if len(written) != len(names):
            raise CellError(f"a list of {len(written)}", expected)
        if threshold is None:
            flags = [_TRUTH.get(_trimmed(piece).casefold()) for piece in written]
            if None in flags:
                odd = next(piece for piece, flag in zip(written, flags, strict=True) if flag is None)
                raise CellError(f"{quoted(odd)} among flags", expected, "For scores set `threshold`.")
            return [name for name, flag in zip(names, flags, strict=True) if flag]
        return [n for n, piece in zip(names, written, strict=True) if _score(piece) >= threshold]

    def _meant(self, piece: str) -> str:
        if self.lines:
            piece = _line(piece, self.lines)
        return self._map.get(piece, piece)


def shares_of(pieces: Sequence[str]) -> list[float]:
    """Two or more pieces as numbers from 0 to 1, where all of them are such numbers, true or false; else
    nothing: flags or scores by position, where labels are expected."""
    found = []
    for piece in pieces:
        word = piece.strip(WHITE_SPACE).casefold()
        if word in _TRUTH:
            found.append(float(_TRUTH[word]))
        elif _SHARE.fullmatch(word):
            found.append(float(word))
        else:
            return []
    return found if len(found) > 1 else []


def _trimmed(piece: str) -> str:
    return same_label(piece.strip(WHITE_SPACE))


def _has_blanks(piece: str) -> bool:
    return piece != piece.strip(WHITE_SPACE)


def _choices(cell: str) -> list[str] | None:
    """The list of `{"choices": […]}`, which a labelling tool writes where there are several; None for
    others."""
    try:
        found = json.loads(cell)
    except (json.JSONDecodeError, RecursionError):
        return None
    choices = found.get("choices") if isinstance(found, dict) else None
    if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices):
        return choices
    return None


def _structure(cell: str, *, bracketed: bool) -> tuple[str, str] | None:
    """What a cell looks like, and advice, if it is written like several labels.

    Args:
        bracketed: whether brackets alone are enough.
    """
    ends, inside = cell[0] + cell[-1], cell[1:-1]
    several = any(sign in inside for sign in "\"',") or bool(re.fullmatch(r"[0-9. ]*", inside))
    if ends == "[]" and (bracketed or several):
        return "a list", "Set `encoding: list` for JSON arrays"
    if ends == "{}" and (several or ":" in inside):
        return "an object", "For a score of each label set `threshold`, for instance `threshold: 0.5`"
    if ends == "()" and "," in inside and any(sign in inside for sign in "\"'"):
        return "a Python tuple", "Write a JSON array and set `encoding: list`"
    return None


def reaches(cell: str | None, threshold: float) -> bool | None:
    """Whether the score in a cell is at least the threshold; None where it is missing or empty.

    Raises:
        CellError: it is no number.
    """
    return None if cell is None or cell == "" else _score(cell) >= threshold


def _score(piece: str) -> float:
    try:
        found = float(piece)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise CellError(f"{quoted(piece)} among scores", "numbers, as `threshold` is set")
    return found


def _above(cell: str, threshold: float) -> list[str]:
    """The labels of a JSON object label → score that reach the threshold; a null is no score."""
    expected = 'a JSON object label → score, such as {"a": 0.9, "b": 0.2}'
    try:
        found: Any = json.loads(cell, parse_int=str, parse_float=str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise CellError("the cell is not JSON", expected) from error
    if not isinstance(found, dict) or any(isinstance(score, list | dict) for score in found.values()):
        raise CellError("the cell is JSON of another shape", expected)
    known = {label: str(score) for label, score in found.items() if score is not None}
    scores = {label: {"True": "1", "False": "0"}.get(score, score) for label, score in known.items()}
    return [label for label, score in scores.items() if _score(score) >= threshold]


def truth(cell: str | None) -> bool | None:
    """A 0/1 cell: True, False, or None where it is missing or empty.

    `0` and `1`, `false` and `true` in any case; `0.0` and `1.0` too, since tables that pandas wrote
    hold these where a cell is missing elsewhere in the column.

    Raises:
        CellError: anything else.
    """
    if cell is None or cell == "":
        return None
    found = _TRUTH.get(cell.strip(WHITE_SPACE).casefold())
    if found is None:
        advice = "Name words that mean *not known* in `missing`; for scores set `threshold`."
        raise CellError(quoted(cell), "0, 1, true or false, or nothing where it is not known", advice)
    return found


ACCEPTED = frozenset(("accept", "accepted", "approve", "approved", "confirm", "confirmed"))
REJECTED = frozenset(("reject", "rejected", "decline", "declined", "deny", "denied"))
IGNORED = frozenset(("", "ignore", "ignored", "skip", "skipped"))
"""Answers to a question about one label, in lower case, that nothing else is called."""
YES = ACCEPTED | {"yes", "y", "true", "1", "1.0"}
NO = REJECTED | {"no", "n", "false", "0", "0.0"}
"""All answers."""


def accepted(cell: str | None, column: str) -> bool | None:
    """Whether an answer accepts the label that was asked about; None where nobody answered.

    Args:
        column: where it stands.

    Raises:
        CellError: it is no answer.
    """
    word = (cell or "").strip(WHITE_SPACE).casefold()
    if word in IGNORED:
        return None
    if word in YES or word in NO:
        return word in YES
    expected = "accept, reject or ignore; yes or no; 1 or 0"
    raise CellError(quoted(word), expected, "Write one of these.", column=column)


_SHARE = re.compile(r"[01]?\.[0-9]+(e-[0-9]+)?|[0-9](\.[0-9]+)?e-[0-9]+")
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
    labels = [("true" if item else "false") if isinstance(item, bool) else item for item in found]
    if any(not isinstance(item, str) for item in labels):
        raise CellError("the array holds something that is not a label", expected)
    return labels


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
