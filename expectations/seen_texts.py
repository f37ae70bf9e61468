"""Which texts a model has seen: the ids of its training and validation texts, as a file and as a mask.

Validation texts count as seen: they chose the epoch, the temperatures, the thresholds and the precision. A
text is known by the first 64 bits of its id (`sources.merge.identity`), so a million texts are 8 MB; that one
of 10^5 test texts is taken for one of 10^6 others by chance has the probability 10^11 / 2^64, about 5e-9.

A text that differs by one character has another id: near-duplicates are not known here. The file holds no
text, but whoever guesses a text can test whether it is among them (decision 37). Does not judge.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.scored_rows import DATASET_TABLE, scored_table
from model.files import unchanged, write_bytes
from model.references import SeenRef
from model.rows import open_rows

MAGIC = b"HGSEEN1\n"
"""First eight bytes of the file; little-endian 64-bit ids follow, rising."""
FILE_MODE = 0o600
"""Only the owner may read the file: it tells who was in the training data."""
KEPT_DIGITS = 16
"""Hex digits of a text's id that are kept: 64 bits."""
KEEP_THE_SPLIT = (
    "add test rows that are new to the champion, or keep the old ones by the same given splits and the same "
    "`split.seed`"
)
"""What to do where a champion has seen too many test rows."""

Ids = NDArray[np.uint64]
Mask = NDArray[np.bool_]


def seen_bytes(dataset: Path) -> bytes:
    """The file's content for a model that is trained on a dataset folder.

    Raises:
        OSError: the dataset's table cannot be read.
    """
    return MAGIC + _seen_ids(dataset / DATASET_TABLE).astype("<u8").tobytes()


def write_seen(dataset: Path, path: Path) -> SeenRef:
    """Write the file for a model that is trained on a dataset folder.

    Raises:
        OSError: the dataset's table cannot be read, or the file not be written.
    """
    data = seen_bytes(dataset)
    write_bytes(path, data, FILE_MODE)
    return SeenRef(path=str(path), sha256=hashlib.sha256(data).hexdigest())


def load_seen(ref: SeenRef) -> Ids:
    """(K,) the rising ids in the file, or in the dataset's table that the reference names in its place.

    Raises:
        model.files.FileChanged: the file is not the one that is referred to.
        ValueError: it is not such a file.
    """
    path = unchanged(ref.path, ref.sha256)
    if path.name == DATASET_TABLE:
        return _seen_ids(path)
    data = path.read_bytes()
    if not data.startswith(MAGIC) or (len(data) - len(MAGIC)) % 8:
        raise ValueError(f"{path.name}: not a list of seen texts; expected {MAGIC!r} and ids of 8 bytes")
    return np.frombuffer(data, dtype="<u8", offset=len(MAGIC)).astype(np.uint64)


def seen_test_rows(dataset: Path, seen: Ids) -> Mask:
    """(N,) whether each test row of a dataset folder is among `seen`, in the order in which it is scored."""
    test = _ids(dataset / DATASET_TABLE, "test")
    if not seen.size:
        return np.zeros(test.size, dtype=np.bool_)
    at = np.minimum(np.searchsorted(seen, test), seen.size - 1)
    return np.asarray(seen[at] == test)


def refuse_own_overlap(rows: Path, scored: Collection[int]) -> None:
    """Return if no test text of a rows folder is one that its own model is trained on.

    Args:
        scored: how many rows were scored, of each head.

    Raises:
        ValueError: a test text is also for training or validation, or others were scored: no verdict on
            these rows would be worth anything.
        model.errors.BadInput: it is not a rows folder.
    """
    folder = open_rows(rows)
    if others := set(scored) - {folder.counts["test"]}:
        raise ValueError(
            f"the dataset has {folder.counts['test']:,} test rows, but {min(others):,} were scored; score on "
            "the dataset that is judged"
        )
    # The lines of equal texts are equal: one writer wrote them all.
    with (rows / "test.texts.jsonl").open("rb") as lines:
        test = set(lines)
    for split in ("train", "validation"):
        with (rows / f"{split}.texts.jsonl").open("rb") as lines:
            twice = sum(line in test for line in lines)
        if twice:
            raise ValueError(
                f"{twice:,} {split} texts of the model that is judged are test texts, too: the split is "
                "broken, and a verdict on it would be worth nothing. Remove the dataset folder and run again"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTestRows:
    """How many of a dataset's test rows a model has seen, before anything is scored."""

    rows: int
    """Test rows."""
    seen: int
    """Of these, rows that the model has seen."""
    left: Mapping[str, tuple[int, int]]
    """Head → (its labelled test rows that the model has not seen, its labelled test rows)."""

    def remark(self) -> str:
        """What this means for the comparison with the champion, as a sentence; empty if it has seen none."""
        if not self.seen:
            return ""
        said = (
            f"the champion was trained (or its thresholds were chosen) on {self.seen:,} of the {self.rows:,} "
            "test rows; they are left out of its comparison"
        )
        bare = [head for head, (left, labelled) in self.left.items() if labelled and not left]
        if not bare:
            left_of = (f"{head} {left:,} of {known:,}" for head, (left, known) in self.left.items())
            return f"{said}; labelled test rows that are left: {', '.join(left_of)}"
        return (
            f"{said}, which cannot decide then: no labelled test row is left for {', '.join(bare)}; "
            f"{KEEP_THE_SPLIT}"
        )


def count_seen_test_rows(dataset: Path, ref: SeenRef, heads: Mapping[str, Any]) -> SeenTestRows:
    """The counts for a dataset folder and the texts that a model has seen.

    Raises:
        model.files.FileChanged: the file of seen texts was changed.
        ValueError: it is not such a file.
    """
    seen = seen_test_rows(dataset, load_seen(ref))
    test = scored_table(dataset, [f"head:{head}" for head in heads])
    labelled = {head: test[f"head:{head}"].is_valid().to_numpy() for head in heads}
    return SeenTestRows(
        rows=int(seen.size),
        seen=int(seen.sum()),
        left={head: (int((known & ~seen).sum()), int(known.sum())) for head, known in labelled.items()},
    )


def _seen_ids(table: Path) -> Ids:
    ids = np.sort(_ids(table, "train", "validation"))
    first = np.ones(ids.size, dtype=np.bool_)
    first[1:] = ids[1:] != ids[:-1]
    return ids[first]


def _ids(table: Path, *splits: str) -> Ids:
    """The first 64 bits of the ids of the rows of `splits`, in their order."""
    rows = pq.read_table(table, columns=["text_id", "split"], read_dictionary=["split"])
    wanted = pc.is_in(pc.cast(rows["split"], pa.string()), value_set=pa.array(splits, pa.string()))
    texts = pc.cast(rows["text_id"].filter(wanted).combine_chunks(), pa.string())
    digits = pc.utf8_slice_codeunits(texts, 0, KEPT_DIGITS)
    characters = digits.buffers()[2]
    if characters is None:  # no rows
        return np.empty(0, dtype=np.uint64)
    raw = binascii.unhexlify(memoryview(characters)[: len(digits) * KEPT_DIGITS])
    return np.frombuffer(raw, dtype=">u8").astype(np.uint64)
