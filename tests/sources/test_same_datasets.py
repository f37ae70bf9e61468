"""However a merge is computed, the same files and settings give the same dataset, down to the last digest: no
update of Headgate alone has anything trained again. The digests were made by the merge of 0.2.0, which
read row by row in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.merge_worlds import digests, made, worlds

GOLDEN = json.loads(Path(__file__).with_name("merge_digests.json").read_text(encoding="utf-8"))
WORLDS = worlds()


def test_every_world_has_digests() -> None:
    assert set(WORLDS) == set(GOLDEN)


@pytest.mark.parametrize("name", WORLDS)
def test_dataset_is_as_it_was(name: str, tmp_path: Path) -> None:
    assert digests(made(WORLDS[name], tmp_path / "project")) == GOLDEN[name]
