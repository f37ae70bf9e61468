"""What a candidate and its verdict depend on, part by part, so that a difference has a name.

Two runs with equal inputs would train, measure and judge alike. Does not know what was made of them
(`release.runs.judged`).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.bundle.masking import masked
from model.code import dependencies, folder_digest
from model.digest import digest
from model.files import file_sha256
from model.spec import BackboneSpec
from sources.dataset import DatasetRef

ROOMS = ("expectations", "flows", "model", "release", "report", "serving", "sources", "tasks")
"""Packages of this program."""
ROOT = Path(__file__).resolve().parents[2]
"""Where they lie."""
DATA = "data"
MOST_NAMED = 6
"""Differences of one part that are named; the rest is counted."""
LONGEST_VALUE = 60
"""Characters of a field's value that is kept and shown; a digest stands for a longer one."""
_DIGEST = re.compile(r"[0-9a-f]{16}")
"""Stands for a value that is not kept; so did every value before values were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Part → name → what stands for it: a digest, a version."""

    parts: Mapping[str, Mapping[str, str]]
    """`data`, `configuration`, `backbone`, `code` and `dependencies`."""
    dataset: str = ""
    """Name of the dataset's folder; where the data lie changes nothing."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of all parts."""
        return digest("inputs", {part: dict(names) for part, names in self.parts.items()})


def gather_inputs(
    data: DatasetRef, backbone: BackboneSpec, configuration: Mapping[str, Any], *, files: Mapping[str, Path]
) -> Inputs:
    """The inputs of a run.

    Args:
        configuration: field → value, of all fields that a candidate or its verdict depend on.
        files: further files that it reads, by name: custom rules.

    Raises:
        model.errors.BackboneError: there is no such encoder, or the hub cannot be reached.
    """
    from model.train.backbone import resolve  # late: needs the hub's client

    table = data.path / "dataset.parquet"
    return Inputs(
        dataset=data.path.name,
        parts={
            DATA: {"rows": data.fingerprint, "table": file_sha256(table), **of_heads(data)},
            "configuration": {name: kept_value(value) for name, value in sorted(configuration.items())}
            | {f"the file {name}": file_sha256(path)[:16] for name, path in sorted(files.items())},
            "backbone": {backbone.name: resolve(backbone).files_sha256},
            "code": {room: folder_digest(ROOT / room) for room in ROOMS},
            "dependencies": dict(dependencies()),
        },
    )


def kept_value(value: Any) -> str:
    """A field's value as JSON; a digest where that is long, or holds a password or token."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)  # as `digest` does: their order says nothing
    short = len(text) <= LONGEST_VALUE and not _DIGEST.fullmatch(text)
    return text if short and masked(text) == text else digest(value)[:16]


def of_heads(data: DatasetRef) -> dict[str, str]:
    """`head topic` → digest of its rows."""
    return {f"head {name}": value for name, value in data.head_fingerprints.items()}


def differences(before: Inputs, now: Inputs) -> dict[str, list[str]]:
    """Part → names that differ; equal parts are left out."""
    found = {}
    for part in sorted({*before.parts, *now.parts}):
        one, other = before.parts.get(part, {}), now.parts.get(part, {})
        differ = _values_differ if part == "configuration" else operator.ne
        names = sorted(name for name in {*one, *other} if differ(one.get(name), other.get(name)))
        if names:
            found[part] = names
    return found


def named(found: Mapping[str, list[str]], before: Inputs, now: Inputs, rows: Mapping[str, int] | None) -> str:
    """The differences in one line: `12 rows of head topic; gates.margin; torch 2.13.0 → 2.13.1`.

    Args:
        found: from `differences`.
        before, now: what they are between.
        rows: head → rows that changed, under an empty name all; none where that can't be counted.
    """
    said = []
    for part, names in found.items():
        match part:
            case "data":
                told = (
                    [_rows(rows)] if rows is not None else [f"rows of {n}" for n in names if n[:5] == "head "]
                )
                told = told or ["rows"]
            case "dependencies":
                told = [
                    _versions(name, before.parts.get(part, {}), now.parts.get(part, {})) for name in names
                ]
            case "configuration":
                told = _values(names, before.parts.get(part, {}), now.parts.get(part, {}))
            case _:
                told = [f"{part} of {name}" if part == "code" else f"{part} {name}" for name in names]
        more = len(told) - MOST_NAMED
        said.append(", ".join(told[:MOST_NAMED]) + (f" and {more} more" if more > 0 else ""))
    return "; ".join(said)


def besides(before: Inputs, now: Inputs) -> list[str]:
    """One sentence a part beside the data that differs: `Configuration: gates.margin.`"""
    found = {part: names for part, names in differences(before, now).items() if part != DATA}
    return [
        f"{part.capitalize()}: {named({part: names}, before, now, None)}." for part, names in found.items()
    ]


def _values_differ(before: str | None, now: str | None) -> bool:
    """Whether two fields' values differ; one of them may be kept as a digest and the other as its value."""
    if before is None or now is None:
        return before != now
    return before != now and _as_digest(before) != _as_digest(now)


def _as_digest(kept: str) -> str:
    if _DIGEST.fullmatch(kept):
        return kept
    try:
        return digest(json.loads(kept))[:16]
    except ValueError:  # no value of a field
        return kept


def _values(names: list[str], before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """`gates.margin 0.03 → 0.02`; the name alone where one of the values is not kept."""
    said, emptied = list[str](), list[str]()
    for name in names:
        then, here = (values.get(name, "not set") for values in (before, now))
        hidden = _DIGEST.fullmatch(then) or _DIGEST.fullmatch(here)
        # A section that got its first field was an empty field before.
        told = emptied if {then, here} == {"{}", "not set"} else said
        told.append(name if hidden else f"{name} {then} → {here}")
    return said or emptied


def _rows(rows: Mapping[str, int]) -> str:
    of_heads = [f"{count:,} of head {name}" for name, count in rows.items() if name and count]
    shown = of_heads or [f"{rows.get('', 0):,}, none of them in a label"]
    return f"rows: {', '.join(shown)}"


def _versions(name: str, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    return f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}"
