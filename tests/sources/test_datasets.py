"""Hugging Face datasets: types of labels, splits of any name, and rows that are streamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from sources.errors import BadSplit, BadTable, UnreadableSource
from sources.formats.read import read_source
from sources.spec import SourceSpec, source_problems

LABEL = datasets.ClassLabel(names=["x", "y"])
TYPES: dict[str, Any] = {
    "class": LABEL,
    "list of classes": datasets.List(LABEL),
    "sequence of classes": datasets.Sequence(LABEL),
    "large list of classes": datasets.LargeList(LABEL),
    "string": datasets.Value("string"),
    "list of strings": datasets.List(datasets.Value("string")),
}


def dataset(kind: str) -> Any:
    single = kind in ("class", "string")
    cells: list[Any] = [1, 0, None] if single else [[1, 0], [0], []]
    if "string" in kind:
        named = {0: "x", 1: "y"}
        cells = [None if c is None else named[c] if single else [named[n] for n in c] for c in cells]
    features = datasets.Features({"text": datasets.Value("string"), "topic": TYPES[kind]})
    return datasets.Dataset.from_dict({"text": ["a", "b", "c"], "topic": cells}, features=features)


def cells(spec: SourceSpec, folder: Path) -> list[Any]:
    raw = read_source("it", spec, folder, lambda rows: None)
    found = raw.table.frame["topic"].to_list()
    return [json.loads(cell) for cell in found] if "topic" in raw.table.lists else found


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_labels_gives_their_names(kind: str, tmp_path: Path) -> None:
    dataset(kind).save_to_disk(tmp_path / "saved")
    found = cells(SourceSpec(path="saved", heads={"topic": "topic"}), tmp_path)
    assert found == (["y", "x", None] if kind in ("class", "string") else [["y", "x"], ["x"], []])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the library takes in place of a dataset's name."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "hub").mkdir()
    for split in ("train", "test"):
        dataset("list of classes").to_parquet(tmp_path / "hub" / f"{split}.parquet")
    return tmp_path


@pytest.mark.parametrize("limit", [None, 2])
def test_streamed_rows_are_those_of_the_download(hub: Path, limit: int | None) -> None:
    spec = SourceSpec(hub=str(hub / "hub"), heads={"topic": "topic"}, limit=limit)
    streamed = SourceSpec(hub=str(hub / "hub"), heads={"topic": "topic"}, limit=limit, streaming=True)
    expected = [["y", "x"], ["x"], []][:limit]
    assert cells(spec, hub) == cells(streamed, hub) == expected * 2
    with pytest.raises(BadTable, match="no such column"):
        cells(SourceSpec(hub=str(hub / "hub"), heads={"topic": "topics"}, streaming=True), hub)


def test_files_and_folders_of_a_hub_dataset_are_chosen(hub: Path) -> None:
    (hub / "hub" / "en").mkdir()
    for name in ("a", "b"):
        dataset("list of classes").to_parquet(hub / "hub" / "en" / f"{name}.parquet")
    three = [["y", "x"], ["x"], []]

    def chosen(**which: Any) -> list[Any]:
        return cells(SourceSpec(hub=str(hub / "hub"), heads={"topic": "topic"}, **which), hub)

    assert chosen(data_files="en/a.parquet") == three
    assert chosen(data_files=("en/a.parquet", "en/b.parquet")) == three * 2
    assert chosen(data_files={"train": ("en/*.parquet",), "test": "test.parquet"}) == three * 3
    assert chosen(data_dir="en", streaming=True) == three * 2
    with pytest.raises(UnreadableSource, match="data_files"):
        chosen(data_files="de/*.parquet")


def test_they_belong_to_hub_datasets_alone() -> None:
    spec = SourceSpec(path="a.csv", heads={"topic": "topic"}, data_dir="en", data_files="a.csv")
    problems = list(source_problems(spec, ["topic"]))
    assert [one.partition(":")[0] for one in problems] == ["data_files", "data_dir"]


def saved(folder: Path, *splits: str) -> None:
    parts = {split: dataset("string") for split in splits}
    datasets.DatasetDict(parts).save_to_disk(folder / "saved")


def given(folder: Path, **more: Any) -> list[Any]:
    spec = SourceSpec(path="saved", heads={"topic": "topic"}, **more)
    return read_source("it", spec, folder, lambda rows: None).table.frame["__given"].to_list()[::3]


def test_splits_of_any_name(tmp_path: Path) -> None:
    saved(tmp_path, "train", "dev", "round_2", "unsupervised")
    with pytest.raises(BadSplit, match=r"a split named 'round_2'.*`hash`"):
        given(tmp_path)
    names = {"round_2": "test", "unsupervised": "hash"}
    assert given(tmp_path, split_map=names) == ["train", "validation", "test", None]


def test_a_split_that_is_alone_splits_nothing(tmp_path: Path) -> None:
    saved(tmp_path, "all")
    assert given(tmp_path) == [None]
    saved(tmp_path / "b", "train")
    assert given(tmp_path / "b") == ["train"]
