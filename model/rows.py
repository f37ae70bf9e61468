"""Reads a rows folder: texts, weights and targets of each split, as `sources` hands them over.

Layout, per split S: `S.texts.jsonl` (one JSON string a line), `S.weight.npy` float32 (N,), and for each
head `S.<head>.npy`: multiclass int32 (N,), a label's index or -1 for unlabelled; multilabel int8 (N, L_h),
1, 0 or -1 for unknown. `rows.json` names heads, counts and the sha256 of each texts file.

Arrays are memory-mapped: a row is read when it is used. Does not know tokens or where rows come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .files import read_json
from .spec import SPLITS, UNLABELLED, HeadSpec, SplitName, head_from_json

Targets = NDArray[np.integer[Any]]
"""multiclass: (N,) label index or -1; multilabel: (N, L_h) of 1, 0 or -1."""


@dataclass(frozen=True, slots=True)
class SplitRows:
    """One split of a rows folder, for some of its heads."""

    split: SplitName
    count: int
    """N, the number of rows."""
    texts_file: Path
    texts_sha256: str
    """sha256 of the texts file as written: the key under which its tokens are cached."""
    weights: NDArray[np.float32]
    """(N,) factor of each row in the loss."""
    targets: Mapping[str, Targets]
    """Head → targets of all N rows."""

    def texts(self) -> Iterator[str]:
        """The texts in order, one at a time.

        Raises:
            BadInput: a line is not a JSON string (the line is named, its text is not), or the number of
                lines is not N.
        """
        seen = 0
        with self.texts_file.open(encoding="utf-8") as stream:
            for seen, line in enumerate(stream, 1):
                try:
                    text = json.loads(line)
                except ValueError:
                    text = None
                if not isinstance(text, str):
                    raise BadInput(f"{self.texts_file} line {seen}: expected a JSON string")
                yield text
        if seen != self.count:
            raise BadInput(f"{self.texts_file}: seen {seen} lines, expected {self.count}")

    def labelled(self, head: str) -> NDArray[np.bool_]:
        """(N,) whether the row has a target for the head (multilabel: for at least one label)."""
        target = self.targets[head]
        known: NDArray[np.bool_] = np.not_equal(target, UNLABELLED)
        return known if known.ndim == 1 else np.logical_or.reduce(known, axis=1)


@dataclass(frozen=True, slots=True)
class RowsFolder:
    """A rows folder whose description has been read and checked."""

    folder: Path
    heads: dict[str, HeadSpec]
    """All heads of the folder, labels filled in."""
    counts: dict[str, int]
    """Split → number of rows."""
    texts_sha256: dict[str, str]
    """Split → sha256 of its texts file."""

    def split(self, name: SplitName, heads: Mapping[str, HeadSpec] | None = None) -> SplitRows:
        """Open one split for `heads` (all of the folder's by default).

        Raises:
            BadInput: a file is absent, or has another shape, type or value than described.
        """
        count = self.counts.get(name, 0)
        if count == 0:
            raise BadInput(f"{self.folder}: split {name!r} has no rows")
        texts = self.folder / f"{name}.texts.jsonl"
        if not texts.is_file():
            raise BadInput(f"{texts}: absent")
        weights = _array(self.folder / f"{name}.weight.npy", np.dtype(np.float32), (count,))
        if not bool(np.isfinite(weights).all() and (weights >= 0).all()):
            raise BadInput(f"{self.folder / f'{name}.weight.npy'}: weights must be finite and not negative")
        targets = {
            head: self._targets(name, head, spec, count) for head, spec in (heads or self.heads).items()
        }
        return SplitRows(name, count, texts, self.texts_sha256[name], weights, targets)

    def _targets(self, split: str, head: str, spec: HeadSpec, count: int) -> Targets:
        file = self.folder / f"{split}.{head}.npy"
        labels = len(spec.labels)
        target: Targets
        match spec.kind:
            case "multiclass":
                target, highest = _array(file, np.dtype(np.int32), (count,)), labels - 1
            case "multilabel":
                target, highest = _array(file, np.dtype(np.int8), (count, labels)), 1
            case _:
                assert_never(spec.kind)
        low, high = int(target.min()), int(target.max())
        if low < UNLABELLED or high > highest:
            raise BadInput(f"{file}: values from {low} to {high}, expected -1 to {highest}")
        return target


def open_rows(folder: Path, heads: Mapping[str, HeadSpec] | None = None) -> RowsFolder:
    """Read `rows.json`; `heads`, where given, must be among the folder's, with equal labels in equal order.

    Raises:
        BadInput: `rows.json` is absent or damaged, or a head differs.
    """
    file = folder / "rows.json"
    try:
        raw = read_json(file)
        rows = RowsFolder(
            folder=folder,
            heads={name: head_from_json(head) for name, head in raw["heads"].items()},
            counts={split: int(raw["rows"].get(split, 0)) for split in SPLITS},
            texts_sha256=dict(raw["digest"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{file}: not a description of rows: {type(error).__name__}: {error}") from error
    for name, head in (heads or {}).items():
        if name not in rows.heads:
            raise BadInput(f"{file}: no head {name!r}; it has {', '.join(rows.heads)}")
        has = rows.heads[name]
        if (has.kind, has.labels) != (head.kind, head.labels):
            raise BadInput(
                f"{file}: head {name!r} is {has.kind} with {len(has.labels)} labels there, but the job says "
                f"{head.kind} with {len(head.labels)}; names and order must be equal"
            )
    return rows


def _array(file: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{file}: cannot be read: {error}") from error
    if array.dtype != dtype or array.shape != shape:
        raise BadInput(f"{file}: seen {array.dtype} {array.shape}, expected {dtype} {shape}")
    return array
