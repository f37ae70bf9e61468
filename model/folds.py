"""Cuts the training rows of one head into folds, so that each row can be answered by a model without it.

A fold is a separate rows folder (`model.rows`): `train` holds the labelled training rows of the other folds,
`test` those of the fold, `validation` all validation rows. Rows are sorted by target and, within a target, by
a hash of their text, and go to the folds in turn: every fold has its share of every label.

Does not know groups or near-duplicates: of two texts that are almost equal and lie in different folds, each
reveals the other's label. Trains nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .files import write_json
from .rows import RowsFolder, SplitRows
from .spec import HeadSpec

NO_FOLD = -1
"""Fold of a row that is unlabelled for the head."""


def deal_folds(part: SplitRows, head: str, folds: int, seed: int) -> NDArray[np.int64]:
    """(N,) the fold of each row, from 0, or `NO_FOLD`; rows and seed alone decide.

    Raises:
        BadInput: there are fewer labelled rows than folds.
    """
    labelled = np.flatnonzero(part.labelled(head))
    if labelled.size < folds:
        raise BadInput(f"{part.texts_file}: {labelled.size} rows are labelled for {head!r}, fewer than folds")
    targets = np.asarray(part.targets[head])[labelled]
    salt = str(seed).encode()
    hashes = [hashlib.blake2b(text.encode(), digest_size=8, key=salt).digest() for text in part.texts()]
    keys = np.frombuffer(b"".join(hashes), dtype=">u8")[labelled]
    _, alike = np.unique(targets, axis=0, return_inverse=True)
    order = np.lexsort([keys, alike.ravel()])
    fold = np.full(part.count, NO_FOLD, dtype=np.int64)
    fold[labelled[order]] = np.arange(labelled.size) % folds
    return fold


def write_fold(rows: RowsFolder, head: str, fold: NDArray[np.int64], number: int, out: Path) -> None:
    """Write the rows folder of fold `number` to `out`, which is made if it is not there; a file of the same
    name is replaced.

    Raises:
        BadInput: a file of `rows` is absent or damaged.
    """
    spec = rows.heads[head]
    train = rows.split("train", {head: spec})
    out.mkdir(parents=True, exist_ok=True)
    digests = {
        "train": _write(train, head, (fold != number) & (fold != NO_FOLD), out, "train"),
        "test": _write(train, head, fold == number, out, "test"),
        "validation": rows.texts_sha256["validation"],
    }
    for name in ("texts.jsonl", "weight.npy", f"{head}.npy"):
        shutil.copyfile(rows.folder / f"validation.{name}", out / f"validation.{name}")
    counts = {
        "train": int(((fold != number) & (fold != NO_FOLD)).sum()),
        "validation": rows.counts["validation"],
        "test": int((fold == number).sum()),
    }
    _describe(out, head, spec, counts, digests)


def fill_in(
    answers: NDArray[np.float32], parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]
) -> NDArray[np.float32]:
    """(N, L_h) a copy of `answers` whose rows are replaced by those of the parts.

    Args:
        answers: (N, L_h) logits.
        parts: (n,) row numbers and (n, L_h) logits of each part.

    Raises:
        BadInput: a position is out of range or in two parts, or a part is of another shape.
    """
    filled = np.array(answers, dtype=np.float32)
    taken = np.zeros(len(filled), dtype=np.bool_)
    for positions, logits in parts:
        if logits.shape != (len(positions), filled.shape[1]):
            expected = (len(positions), filled.shape[1])
            raise BadInput(f"a fold's logits: seen {logits.shape}, expected {expected}; teach again")
        inside = positions.size == 0 or (positions.min() >= 0 and positions.max() < len(filled))
        if not inside or taken[positions].any() or np.unique(positions).size != positions.size:
            raise BadInput(f"a fold's positions: not rows of {len(filled)}, each in one fold; cut them again")
        taken[positions] = True
        filled[positions] = logits
    return filled


def _write(part: SplitRows, head: str, chosen: NDArray[np.bool_], out: Path, split: str) -> str:
    """The chosen rows as split `split`; the sha256 of its texts."""
    sha256 = hashlib.sha256()
    with (out / f"{split}.texts.jsonl").open("wb") as file:
        for line in _lines(part.texts(), chosen):
            sha256.update(line)
            file.write(line)
    np.save(out / f"{split}.weight.npy", np.asarray(part.weights)[chosen])
    np.save(out / f"{split}.{head}.npy", np.asarray(part.targets[head])[chosen])
    return sha256.hexdigest()


def _lines(texts: Iterable[str], chosen: NDArray[np.bool_]) -> Iterable[bytes]:
    for text, wanted in zip(texts, chosen.tolist(), strict=True):
        if wanted:
            yield json.dumps(text, ensure_ascii=False).encode() + b"\n"


def _describe(out: Path, head: str, spec: HeadSpec, counts: dict[str, int], digests: dict[str, str]) -> None:
    write_json(out / "rows.json", {"heads": {head: asdict(spec)}, "rows": counts, "digest": digests})
