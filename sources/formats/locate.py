"""Which files a `path` means: variables, relative paths, folders and globs. Does not open any of them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sources.errors import DataError, Problem, UnreadableSource, nearest

_VARIABLE = re.compile(r"\$\{([^}]*)\}")

ENDINGS = {
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
}
"""File ending, in lower case and without `.gz` → format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """One file to read."""

    path: Path
    shown: str
    """How it is called in messages and findings: relative to the configuration if it lies below it."""
    format: str


class AbsentPath(UnreadableSource):
    """Nothing is there: what `optional: true` forgives."""


def expand(path: str, environment: Mapping[str, str] | None = None) -> str:
    """`path` with `${NAME}` replaced from the environment.

    Raises:
        UnreadableSource: a variable is not set or empty.
    """
    values = os.environ if environment is None else environment

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if not values.get(name):
            raise AbsentPath(
                Problem(
                    file=path,
                    seen=f"the environment variable {name} is not set",
                    advice=f"Set it, for instance `export {name}=/path/to/data`, or write the path out.",
                )
            )
        return values[name]

    return _VARIABLE.sub(value_of, path)


def locate(path: str, format: str, base: Path) -> list[Located]:
    """The files that `path` means, sorted by name, each with its format.

    A folder means all files below it with an ending that is known (or with those of `format`), a glob
    the files that it matches; hidden files are left out. `base` is what relative paths start from.

    Raises:
        AbsentPath: there is no such file or folder, or a variable is not set.
        UnreadableSource: a folder or glob without such files, or an ending that says no format.
    """
    full = Path(base, expand(path)).expanduser()
    if full.is_dir():
        if format == "saved":
            return [Located(path=full, shown=_shown(full, base), format="saved")]
        inside = sorted(p for p in full.rglob("*") if p.is_file() and not _hidden(p, full))
        files = [p for p in inside if format_of(p) is not None and format in ("auto", format_of(p))]
        if not files:
            raise UnreadableSource(
                Problem(
                    file=_shown(full, base),
                    seen=f"the folder has no file {_of_format(format)}",
                    expected=f"at least one ending in {_endings(format)} (or that with .gz)",
                )
            )
    elif full.exists():
        files = [full]
    elif glob.has_magic(str(full)):
        files = sorted(p for p in _matching(full) if p.is_file())
        if not files:
            raise AbsentPath(Problem(file=_shown(full, base), seen="no file matches the pattern"))
    else:
        raise _absent(full, base)
    found = []
    problems = []
    for file in files:
        kind = format if format not in ("auto", "saved") else format_of(file)
        if kind is None or format == "saved":
            problems.append(
                Problem(
                    file=_shown(file, base),
                    seen="the file's ending does not say its format"
                    if kind is None
                    else "a file, not a folder",
                    expected=f"one of {_endings('auto')}" if kind is None else "a folder from save_to_disk",
                    advice="Set the source's `format`.",
                )
            )
        else:
            found.append(Located(path=file, shown=_shown(file, base), format=kind))
    if problems:
        raise UnreadableSource(*problems)
    return found


def format_of(file: Path) -> str | None:
    """The format that a file's ending names, `.gz` left aside; None if it names none."""
    name = file.name.lower().removesuffix(".gz")
    return ENDINGS.get(Path(name).suffix)


def read_lines(path: str, base: Path) -> tuple[str, ...]:
    """The labels in a `labels_file`, one a line, blank lines at the end left out.

    Raises:
        DataError: missing, not UTF-8, empty, or with a blank line or a label twice.
    """
    from sources.formats.text_file import open_text

    full = Path(base, expand(path)).expanduser()
    name = _shown(full, base)
    if not full.exists():
        raise _absent(full, base)
    with open_text(full, name) as text:
        lines = text.read().replace("\r\n", "\n").rstrip("\n").split("\n")
    problems = [
        Problem(file=name, line=number, seen="a blank line", expected="one label a line")
        for number, line in enumerate(lines, start=1)
        if not line.strip()
    ]
    problems += [
        Problem(file=name, line=number, seen=f"the label {line!r} is there twice")
        for number, line in enumerate(lines, start=1)
        if line.strip() and line in lines[: number - 1]
    ]
    if problems:
        raise DataError(*problems)
    return tuple(lines)


def _matching(pattern: Path) -> Iterator[Path]:
    """What a glob matches, from the last folder without magic in its name."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    yield from Path(*parts[:first]).glob(str(Path(*parts[first:])))


def _absent(full: Path, base: Path) -> AbsentPath:
    advice = "Check the path; relative ones start from the configuration's folder."
    if full.parent.is_dir():
        beside = sorted(p.name for p in full.parent.iterdir() if not p.name.startswith("."))
        advice = f"{nearest(full.name, beside)} {advice}" if beside else advice
    return AbsentPath(Problem(file=_shown(full, base), seen="there is no such file or folder", advice=advice))


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _shown(path: Path, base: Path) -> str:
    """`path` from `base` if it lies below it, else as it is."""
    try:
        return path.resolve().relative_to(base.resolve()).as_posix()
    except ValueError:
        return str(path)


def _of_format(format: str) -> str:
    return "of a known format" if format == "auto" else f"of format {format}"


def _endings(format: str) -> str:
    return ", ".join(ending for ending, kind in ENDINGS.items() if format in ("auto", kind))
