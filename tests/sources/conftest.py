"""Small tables on disk and the dataset they make."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.spec import HeadSpec
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec

MULTICLASS = HeadSpec(kind="multiclass")
MULTILABEL = HeadSpec(kind="multilabel")


@dataclass(frozen=True)
class Built:
    """A dataset folder, opened."""

    ref: DatasetRef

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.ref.path / f"{name}.parquet")

    @property
    def profile(self) -> dict[str, Any]:
        return json.loads((self.ref.path / "profile.json").read_text())

    def answers(self, head: str) -> dict[str, Any]:
        """Text → what the dataset says for `head`."""
        rows = self.table("dataset")
        return dict(zip(rows["text"], rows[f"head:{head}"].to_list(), strict=True))

    def unknown(self, head: str) -> dict[str, Any]:
        rows = self.table("dataset")
        return dict(zip(rows["text"], rows[f"unknown:{head}"].to_list(), strict=True))


Build = Callable[..., Built]


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Datasets are brought to disk before they are relied on; hundreds of tests need not wait for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build a dataset from sources below `tmp_path`. Filler rows in a source of its own give every split
    rows and every head the labels it needs, so that a test can look at the few rows it is about."""

    def make(
        sources: dict[str, SourceSpec],
        heads: dict[str, HeadSpec],
        split: SplitSpec | None = None,
        filler: dict[str, list[Any]] | None = None,
        base: Path = tmp_path,
        **options: Any,
    ) -> Built:
        if filler is not None:
            rows = [
                {"text": f"filler {split_name} {i}", "split": split_name}
                | {head: answers[i % len(answers)] for head, answers in filler.items()}
                for split_name in ("train", "validation", "test")
                for i in range(max(len(a) for a in filler.values()))
            ]
            (base / "filler.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            extra = SourceSpec(
                path="filler.jsonl", split_column="split", heads={head: head for head in filler}
            )
            sources = {**sources, "filler": extra}
        split = split or SplitSpec(near_duplicates="off")
        return Built(build_dataset(sources, heads, split, base, base / "data", **options))

    return make
