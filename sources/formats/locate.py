"""Which files a `path` means: variables, relative paths, folders and globs. Does not open any of them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

from model.suggestions import did_you_mean
from sources.errors import DataError, Problem, UnreadableSource, one_of
from sources.formats.exports.guess import advice_for
from sources.formats.huggingface import is_saved
from sources.formats.text_file import open_text
from sources.spec import ExportFormat, FileFormat, SourceFormat

_VARIABLE = re.compile(r"\$\{([^}]*)\}")

ENDINGS: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".xlsx": "excel",
    ".xls": "excel",
}
"""File ending, in lower case and without `.gz` → format."""

_JSON = (".jsonl", ".json", ".ndjson")
EXPORT_ENDINGS: dict[ExportFormat, tuple[str, ...]] = {
    "label_studio": (*_JSON, ".csv"),
    "doccano": (*_JSON, ".csv"),
    "prodigy": _JSON,
    "argilla": _JSON,
    "spacy": _JSON,
    "fasttext": (".txt", ".ft", ".train", ".valid", ".test"),
    "label_text": (".txt", ".label"),
    "json": _JSON,
}
"""Format of a labelling tool → endings of the files that are read of a folder; files and globs may have
any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file to read, or one folder from `save_to_disk`."""

    path: Path
    name: str
    """As messages and findings call it: relative to the configuration if it lies below it."""
    format: FileFormat | ExportFormat | Literal["saved"]


class AbsentPath(UnreadableSource):
    """Nothing is there; an `optional` source may be absent."""


def expand(path: str, environment: Mapping[str, str] | None = None) -> str:
    """`path` with `${NAME}` replaced from the environment.

    Raises:
        UnreadableSource: a variable is not set or empty.
    """
    values = os.environ if environment is None else environment

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if not values.get(name):
            advice = f"Set it, for instance `export {name}=/path/to/data`, or write the path out."
            raise AbsentPath(Problem(f"the environment variable {name} is not set", advice=advice, file=path))
        return values[name]

    return _VARIABLE.sub(value_of, path)


def locate(path: str, format: SourceFormat, base: Path) -> list[InputFile]:
    """The files that `path` means, sorted by name, each with its format.

    A folder from `save_to_disk` means itself. Another one means all files below it with an ending that is
    known (or with those of `format`), a glob the files that it matches; hidden files are left out. Relative
    paths start from `base`.

    Raises:
        AbsentPath: there is no such file or folder, or a variable is not set.
        UnreadableSource: a folder or glob without such files, or an ending that names no format.
    """
    full = Path(base, expand(path)).expanduser()
    name = _name(full, base)
    if full.is_dir():
        if format == "saved" or (format == "auto" and is_saved(full)):
            return [InputFile(path=full, name=name, format="saved")]
        if format == "argilla" and is_saved(full):
            return [InputFile(path=full, name=name, format="argilla")]
        files = _files_below(full, format)
        if not files:
            wanted = "a known format" if format == "auto" else f"format {format}"
            expected = f"at least one ending in {_endings(format)} (or that with .gz)"
            raise UnreadableSource(Problem(f"the folder has no file of {wanted}", expected, file=name))
    elif full.exists():
        files = [full]
    elif glob.has_magic(str(full)):
        files = sorted(p for p in _matching(full) if p.is_file())
        if not files:
            raise AbsentPath(Problem("no file matches the pattern", file=name))
    else:
        raise _absent(full, base)
    found, problems = [], []
    advice = "Set the source's `format`."
    for file in files:
        name = _name(file, base)
        match format:
            case "saved":
                expected = "a folder from save_to_disk"
                problems.append(Problem("a file, not a folder", expected, advice, file=name))
            case "hub":
                expected = "the dataset's name in `hub` instead of a path"
                problems.append(Problem("`format: hub` is for hub datasets", expected, file=name))
            case "auto":
                if (kind := format_of(file)) is None:
                    seen = "the file's ending does not name a format"
                    told = advice_for(file, advice)
                    problems.append(Problem(seen, f"one of {_endings('auto')}", told, file=name))
                else:
                    found.append(InputFile(path=file, name=name, format=kind))
            case (
                "csv"
                | "tsv"
                | "jsonl"
                | "parquet"
                | "arrow"
                | "excel"
                | "label_studio"
                | "doccano"
                | "prodigy"
                | "argilla"
                | "spacy"
                | "fasttext"
                | "label_text"
                | "json"
            ):
                found.append(InputFile(path=file, name=name, format=format))
            case _:
                assert_never(format)
    if problems:
        raise UnreadableSource(*problems)
    return found


def _files_below(folder: Path, format: SourceFormat) -> list[Path]:
    """The files of the format (`auto`: of any) in `folder` and its sub-folders, without hidden ones."""
    inside = (p for p in folder.rglob("*") if p.is_file())
    # `~$` begins the files that Excel makes while another one is open.
    hidden = (".", "~$")
    visible = (p for p in inside if not any(part.startswith(hidden) for part in p.relative_to(folder).parts))
    endings = _known_endings(format)
    return sorted(p for p in visible if Path(p.name.lower().removesuffix(".gz")).suffix in endings)


def format_of(file: Path) -> FileFormat | None:
    """The format that a file's ending names, `.gz` left aside; None if it names none."""
    name = file.name.lower().removesuffix(".gz")
    return ENDINGS.get(Path(name).suffix)


def read_lines(path: str, base: Path) -> tuple[str, ...]:
    """The labels in a `labels_file`, one a line, blank lines at the end left out.

    Raises:
        DataError: missing, not UTF-8, empty, or with a blank line or a label twice.
    """
    full = Path(base, expand(path)).expanduser()
    name = _name(full, base)
    if not full.exists():
        raise _absent(full, base)
    with open_text(full, name) as text:
        lines = text.read().replace("\r\n", "\n").rstrip("\n").split("\n")
    problems = []
    labels: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            problems.append(Problem("a blank line", "one label a line", file=name, line=number))
        elif line in labels:
            problems.append(Problem(f"the label {line!r} is there twice", file=name, line=number))
        labels.add(line)
    if problems:
        raise DataError(*problems)
    return tuple(lines)


def _matching(pattern: Path) -> Iterator[Path]:
    """What a glob matches, from the last folder without magic in its name."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    yield from Path(*parts[:first]).glob(str(Path(*parts[first:])))


def _absent(full: Path, base: Path) -> AbsentPath:
    beside = []
    if full.parent.is_dir():
        beside = sorted(p.name for p in full.parent.iterdir() if not p.name.startswith("."))
    seen = f"there is no such file or folder{did_you_mean(full.name, beside)}"
    advice = "Check the path; relative ones start from the configuration's folder."
    return AbsentPath(Problem(seen, one_of(beside), advice, file=_name(full, base)))


def _name(path: Path, base: Path) -> str:
    """`path` from `base` if it lies below it, else as it is."""
    try:
        return path.resolve().relative_to(base.resolve()).as_posix()
    except ValueError:
        return str(path)


def _endings(format: SourceFormat) -> str:
    return ", ".join(_known_endings(format))


def _known_endings(format: SourceFormat) -> tuple[str, ...]:
    """Endings of the files that are read of a folder."""
    of_tool = next((endings for tool, endings in EXPORT_ENDINGS.items() if tool == format), None)
    return of_tool or tuple(ending for ending, kind in ENDINGS.items() if format in ("auto", kind))
