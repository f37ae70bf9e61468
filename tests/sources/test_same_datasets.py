"""However a merge is computed, the same files and settings give the same dataset, down to the last digest: no
update of Headgate alone has anything trained again. The digests were made by the merge of 0.2.0, which
read row by row in Python."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest

from sources.merge import fingerprint, join
from sources.merge.identity import text_ids
from tests.support.merge_worlds import digests, made, worlds

GOLDEN = json.loads(Path(__file__).with_name("merge_digests.json").read_text(encoding="utf-8"))
WORLDS = worlds()


def test_every_world_has_digests() -> None:
    assert set(WORLDS) == set(GOLDEN)


@pytest.mark.parametrize("name", WORLDS)
def test_dataset_is_as_it_was(name: str, tmp_path: Path) -> None:
    assert digests(made(WORLDS[name], tmp_path / "project")) == GOLDEN[name]


@pytest.mark.parametrize("name", ["conflicts majority", "groups", "csv keep", "near removed"])
def test_in_parts_as_in_one(name: str, tmp_path: Path) -> None:
    with patch.object(join, "PART_ROWS", 50), patch.object(fingerprint, "_SLICE_ROWS", 70):
        assert digests(made(WORLDS[name], tmp_path / "project")) == GOLDEN[name]


def test_ids_that_begin_alike_stay_two_texts(tmp_path: Path) -> None:
    with patch.object(join, "text_ids", lambda texts: "0" * 16 + text_ids(texts).str.slice(0, 16)):
        ref = made(WORLDS["conflicts drop"], tmp_path / "alike")
    usual = made(WORLDS["conflicts drop"], tmp_path / "usual")
    texts, others = (pl.read_parquet(one.path / "dataset.parquet") for one in (ref, usual))
    assert texts["text_id"].is_sorted() and sorted(texts["text"]) == sorted(others["text"])
    assert texts.sort("text")["head:mood"].equals(others.sort("text")["head:mood"])
