"""The same files and settings are merged once; whatever may have changed is read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.spec import HeadSpec
from sources.dataset import DatasetRef, build_dataset
from sources.errors import DataError
from sources.spec import SourceSpec, SplitSpec

HEADS = {"topic": HeadSpec(kind="multiclass")}
SPLIT = SplitSpec(near_duplicates="off")
SOURCE = SourceSpec(path="rows.csv", heads={"topic": "topic"}, split_column="split")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    lines = ["text,topic,split"]
    for split, count in (("train", 12), ("validation", 6), ("test", 6)):
        lines += [f"text {split} {n},{'tea' if n % 2 else 'rain'},{split}" for n in range(count)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def merge(place: Path) -> Callable[..., tuple[DatasetRef, bool]]:
    """Merges; (the dataset, whether rows were read)."""

    def build(source: SourceSpec = SOURCE, **others: SourceSpec) -> tuple[DatasetRef, bool]:
        read: list[str] = []
        sources = {"rows": source, **others}
        made = build_dataset(
            sources, HEADS, SPLIT, place, place / "data", on_progress=lambda what, _: read.append(what)
        )
        return made, "read" in read

    return build


Merge = Callable[..., tuple[DatasetRef, bool]]


def test_the_same_bytes_are_read_once_whatever_their_times(place: Path, merge: Merge) -> None:
    first, read = merge()
    assert read
    os.utime(place / "rows.csv", (1, 1))
    assert merge() == (first, False)


def test_another_byte_is_read_also_with_size_and_time_as_before(place: Path, merge: Merge) -> None:
    first, _ = merge()
    file, times = place / "rows.csv", (place / "rows.csv").stat()
    file.write_text(file.read_text().replace("text train 4,", "text train X,"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    second, read = merge()
    assert read and second.fingerprint != first.fingerprint


def test_other_settings_are_merged_anew(merge: Merge) -> None:
    merge()
    _, read = merge(replace(SOURCE, where="topic <> 'none'"))
    assert read


def test_a_damaged_dataset_is_written_again(merge: Merge) -> None:
    first, _ = merge()
    table = first.path / "dataset.parquet"
    data = table.read_bytes()
    table.write_bytes(data[:-7])
    second, read = merge()
    assert read and second == first and table.read_bytes() == data


def test_an_optional_source_that_comes_is_read(place: Path, merge: Merge) -> None:
    later = replace(SOURCE, path="later.csv", optional=True)
    merge(later=later)
    assert not merge(later=later)[1]
    (place / "later.csv").write_text("text,topic,split\none more,tea,train\n")
    second, read = merge(later=later)
    assert read and second.observations == 25


def test_a_file_that_is_gone_is_missed_although_its_dataset_is_kept(place: Path, merge: Merge) -> None:
    merge()
    (place / "rows.csv").unlink()
    with pytest.raises(DataError, match="no such file"):
        merge()
