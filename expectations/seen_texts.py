"""What a model was trained on, as a file: the ids of its training and validation texts, and what else its
dataset held; and which test rows it has seen, as a mask.

Validation texts count as seen: they chose the epoch, the temperatures, the thresholds and the precision. A
text is known by the first 64 bits of its id (`sources.merge.identity`), so a million texts are 8 MB; that one
of 10^5 test texts is taken for one of 10^6 others by chance has the probability 10^11 / 2^64, about 5e-9.

A text that differs by one character has another id: near-duplicates are not known here. The file holds no
text, but whoever guesses a text can test whether it is among them, and of a sample which labels it bore
(decisions 37 and 48). Does not judge.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.changes import Contents, Ids
from expectations.contents import (
    contents_from_json,
    contents_of,
    contents_of_profile,
    contents_to_json,
    text_numbers,
    with_seen,
)
from expectations.scored_rows import DATASET_TABLE, scored_table
from model.files import unchanged, write_bytes
from model.references import SeenRef
from model.rows import open_rows

MAGIC = b"HGSEEN2\n"
"""First eight bytes of the file. How many ids there are and the ids follow, rising, as little-endian 64-bit
numbers; then what else the dataset held, as JSON (`expectations.contents`)."""
FIRST_MAGIC = b"HGSEEN1\n"
"""Of older files, in which the ids alone follow."""
FILE_MODE = 0o600
"""Only the owner may read the file: it tells who was in the training data."""
KEEP_THE_SPLIT = (
    "add test rows that are new to the champion, or keep the old ones by the same given splits and the same "
    "`split.seed`"
)
"""What to do where a champion has seen too many test rows."""

Mask = NDArray[np.bool_]


def seen_bytes(dataset: Path) -> bytes:
    """The file's content for a model that is trained on a dataset folder.

    Raises:
        OSError: a file of the dataset cannot be read.
        ValueError: one is not what it should be.
    """
    contents = contents_of(dataset)
    ids = np.empty(0, dtype=np.uint64) if contents.seen is None else contents.seen
    about = json.dumps(contents_to_json(contents), ensure_ascii=False, separators=(",", ":")).encode()
    return MAGIC + np.array([ids.size], dtype="<u8").tobytes() + ids.astype("<u8").tobytes() + about


def first_seen_bytes(dataset: Path) -> bytes:
    """As `seen_bytes`, the content of an older file.

    Raises:
        OSError: the dataset's table cannot be read.
    """
    return FIRST_MAGIC + _seen_ids(dataset / DATASET_TABLE).astype("<u8").tobytes()


def write_seen(dataset: Path, path: Path) -> SeenRef:
    """Write the file for a model that is trained on a dataset folder. An older one that is there is written
    as it was: the registry has it already, and its digest is signed.

    Raises:
        OSError: a file of the dataset cannot be read, or the list not be written.
        ValueError: a file of the dataset is not what it should be.
    """
    data = first_seen_bytes(dataset) if is_older(path) else seen_bytes(dataset)
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
    return _parsed(path)[0]


def load_contents(ref: SeenRef | None, profile: Mapping[str, Any]) -> Contents | None:
    """What a model was trained on, as far as it is known; None where nothing is.

    Args:
        ref: its file, or the dataset's table in its place; none where neither is there.
        profile: of its data, from its bundle; empty where it carries none. Of an older model, whose file
            holds ids alone, it says the rest.

    Raises:
        model.files.FileChanged: the file is not the one that is referred to.
        ValueError: it is not such a file.
    """
    if ref is None:
        return contents_of_profile(profile)
    path = unchanged(ref.path, ref.sha256)
    if path.name == DATASET_TABLE:
        return contents_of(path.parent)
    seen, about = _parsed(path)
    if not about:
        return with_seen(contents_of_profile(profile), seen)
    return contents_from_json(json.loads(about), seen)


def is_older(path: Path) -> bool:
    """Whether a file holds ids alone."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_MAGIC)) == FIRST_MAGIC


def _parsed(path: Path) -> tuple[Ids, bytes]:
    """The ids of a file, and the JSON after them; of an older file none."""
    data = path.read_bytes()
    start, end = len(MAGIC), len(data)
    if data.startswith(MAGIC):
        many = int.from_bytes(data[start : start + 8], "little")
        start, end = start + 8, start + 8 + 8 * many
    if not data.startswith((MAGIC, FIRST_MAGIC)) or end > len(data) or (end - start) % 8:
        raise ValueError(f"{path.name}: not a list of seen texts; expected {MAGIC!r} and ids of 8 bytes")
    return np.frombuffer(data[start:end], dtype="<u8").astype(np.uint64), data[end:]


def seen_test_rows(dataset: Path, seen: Ids) -> Mask:
    """(N,) whether each test row of a dataset folder is among `seen`, in the order in which it is scored."""
    test = _ids(dataset / DATASET_TABLE, "test")
    if not seen.size:
        return np.zeros(test.size, dtype=np.bool_)
    at = np.minimum(np.searchsorted(seen, test), seen.size - 1)
    return np.asarray(seen[at] == test)


def new_test_rows(dataset: Path, ref: SeenRef) -> int | None:
    """How many test rows of a dataset folder were not in the data that a model was trained on, as test rows
    neither; None where its test rows are not known.

    Raises:
        model.files.FileChanged: the file of seen texts was changed.
        ValueError: it is not such a file.
    """
    before = load_contents(ref, {})
    if before is None or before.texts is None:
        return None
    return int((~np.isin(_ids(dataset / DATASET_TABLE, "test"), before.texts)).sum())


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


SEEN = "the champion was trained (or its thresholds were chosen) on "
"""How the remark on test rows begins that a champion has seen."""


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
        said = f"{SEEN}{self.seen:,} of the {self.rows:,} test rows; they are left out of its comparison"
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
    return text_numbers(rows["text_id"].filter(wanted))
