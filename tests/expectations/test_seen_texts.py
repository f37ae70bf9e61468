"""The ids of the texts that a model was trained on: which they are, how they are kept, and whom they mark."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.seen_texts import (
    MAGIC,
    count_seen_test_rows,
    load_seen,
    refuse_own_overlap,
    seen_test_rows,
    write_seen,
)
from model.bundle.texts import prepared
from model.errors import BadInput
from model.files import FileChanged, file_sha256
from model.references import SeenRef
from model.spec import HeadSpec
from sources.dataset import DatasetRef, build_dataset
from sources.merge.identity import text_id
from sources.spec import SourceSpec, SplitSpec

TOPICS = {"topic": HeadSpec(kind="multiclass"), "mark": HeadSpec(kind="multiclass")}


def number(text: str) -> int:
    """The first 64 bits of a text's SHA-256: its identity here is the text itself."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def dataset(folder: Path, splits: Mapping[str, str]) -> DatasetRef:
    """A dataset of these texts (text → split), merged from a file; a third of them lack a `mark`."""
    lines = [
        f"{text},{'ab'[at % 2]},{['x', 'y', ''][at % 3]},{split}"
        for at, (text, split) in enumerate(splits.items())
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.csv").write_text("\n".join(["text,topic,mark,split", *lines]))
    source = SourceSpec(
        path="rows.csv",
        split_column="split",
        heads={"topic": "topic", "mark": "mark"},
    )
    return build_dataset({"rows": source}, TOPICS, SplitSpec(), folder, folder / "data")


def texts(**counts: int) -> dict[str, str]:
    """`texts(train=2)` → {"train 0": "train", "train 1": "train"}."""
    return {f"{split} {at}": split for split, count in counts.items() for at in range(count)}


def test_training_and_validation_texts_are_kept_by_64_bits_of_their_ids(tmp_path: Path) -> None:
    splits = texts(train=12, validation=6, test=6)
    made = write_seen(dataset(tmp_path, splits).path, tmp_path / "seen")
    data = (tmp_path / "seen").read_bytes()
    expected = sorted(number(text) for text, split in splits.items() if split != "test")
    listed = b"".join(one.to_bytes(8, "little") for one in expected)
    assert data.startswith(MAGIC + len(expected).to_bytes(8, "little") + listed)
    assert made.sha256 == file_sha256(tmp_path / "seen")
    assert load_seen(made).tolist() == expected
    assert stat.S_IMODE((tmp_path / "seen").stat().st_mode) == 0o600
    assert not any(text.encode() in data for text in splits)


def test_equal_texts_of_other_spelling_are_one(tmp_path: Path) -> None:
    """What counts is the identity: white space around a text does not make another one."""
    assert text_id(prepared("  a message\r\n"))[:16] == f"{number('a message'):016x}"


def test_rows_are_marked_in_the_order_in_which_they_are_scored(tmp_path: Path) -> None:
    """Rows of the rows folder are sorted by id; of five, two are known."""
    before = texts(train=12, validation=6, test=6)
    after = {**before, "train 3": "test", "validation 1": "test"}
    old, new = dataset(tmp_path / "old", before), dataset(tmp_path / "new", after)
    mask = seen_test_rows(new.path, load_seen(write_seen(old.path, tmp_path / "seen")))
    lines = (new.path / "rows" / "test.texts.jsonl").read_text().splitlines()
    scored = [line.strip('"') for line in lines]
    assert dict(zip(scored, mask.tolist(), strict=True)) == {
        **{f"test {at}": False for at in range(6)},
        "train 3": True,
        "validation 1": True,
    }


def test_the_same_split_marks_no_row(tmp_path: Path) -> None:
    made = dataset(tmp_path, texts(train=12, validation=6, test=6))
    ref = write_seen(made.path, tmp_path / "seen")
    assert not seen_test_rows(made.path, load_seen(ref)).any()
    counted = count_seen_test_rows(made.path, ref, TOPICS)
    assert (counted.rows, counted.seen, counted.remark()) == (6, 0, "")


def test_the_table_of_a_dataset_says_the_same_as_its_list(tmp_path: Path) -> None:
    made = dataset(tmp_path, texts(train=12, validation=6, test=6))
    table = made.path / "dataset.parquet"
    listed = load_seen(write_seen(made.path, tmp_path / "seen"))
    assert np.array_equal(load_seen(SeenRef(path=str(table), sha256=file_sha256(table))), listed)


def test_what_the_champion_knows_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    before = texts(train=12, validation=6, test=6)
    ref = write_seen(dataset(tmp_path / "old", before).path, tmp_path / "seen")
    after = texts(train=12, validation=6, test=6) | {"train 0": "test", "train 1": "test", "train 2": "test"}
    some = count_seen_test_rows(dataset(tmp_path / "some", after).path, ref, TOPICS)
    assert (some.rows, some.seen) == (9, 3)
    # Of the mark, `train 2` and two of `test 0` to `test 5` are unlabelled.
    assert some.left == {"topic": (6, 9), "mark": (4, 6)}
    assert "on 3 of the 9 test rows" in some.remark() and "topic 6 of 9, mark 4 of 6" in some.remark()
    swapped = {text: {"train": "test", "test": "train"}.get(split, split) for text, split in before.items()}
    every = count_seen_test_rows(dataset(tmp_path / "all", swapped).path, ref, TOPICS)
    assert (every.rows, every.seen) == (12, 12)
    assert "cannot decide then" in every.remark() and "`split.seed`" in every.remark()


def test_a_list_that_was_changed_or_is_none_is_refused(tmp_path: Path) -> None:
    made = write_seen(dataset(tmp_path, texts(train=12, validation=6, test=6)).path, tmp_path / "seen")
    path = Path(made.path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FileChanged, match="changed since it was written"):
        load_seen(made)
    for data in (b"", b"other", MAGIC + b"1234"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="not a list of seen texts"):
            load_seen(SeenRef(path=made.path, sha256=file_sha256(path)))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_test_text_that_is_also_trained_on_makes_the_verdict_worthless(tmp_path: Path, split: str) -> None:
    rows = dataset(tmp_path, texts(train=12, validation=6, test=6)).path / "rows"
    refuse_own_overlap(rows, {6})
    refuse_own_overlap(rows, ())
    with pytest.raises(ValueError, match="6 test rows, but 5 were scored"):
        refuse_own_overlap(rows, {6, 5})
    with (rows / f"{split}.texts.jsonl").open("a") as lines, (rows / "test.texts.jsonl").open() as test:
        lines.write(test.readline())
    with pytest.raises(ValueError, match=f"1 {split} texts .* are test texts, too"):
        refuse_own_overlap(rows, {6})
    (rows / "rows.json").unlink()
    with pytest.raises(BadInput):
        refuse_own_overlap(rows, {6})


@given(st.sets(st.integers(0, 40)), st.lists(st.integers(0, 40), unique=True))
def test_membership_is_that_of_sets(seen: set[int], tested: list[int]) -> None:
    """Against Python's sets, with nothing seen and nothing tested among the cases."""
    with TemporaryDirectory() as temporary:
        rows = {"text_id": [f"{one:016x}{7:016x}" for one in tested], "split": ["test"] * len(tested)}
        columns = {name: pa.array(values, pa.string()) for name, values in rows.items()}
        pq.write_table(pa.table(columns), Path(temporary) / "dataset.parquet")
        mask = seen_test_rows(Path(temporary), np.array(sorted(seen), dtype=np.uint64))
    assert mask.tolist() == [one in seen for one in tested]
