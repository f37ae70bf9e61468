"""A dataset folder is used again as it is, and written again where it was damaged; others' folders stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.files import remove_folder
from sources.dataset import open_dataset
from sources.errors import DataError
from tests.support.small_dataset import ROWS, make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def _datasets(folder: Path) -> list[str]:
    """Names of the datasets, without what is remembered of merges."""
    return [path.name for path in (folder / "data").iterdir() if not path.name.startswith(".")]


def test_a_complete_folder_is_used_again(folder: Path) -> None:
    one = make(folder)
    assert one.path.name == one.fingerprint[:16]
    before = (one.path / "dataset.parquet").stat().st_mtime_ns
    assert make(folder) == one == open_dataset(one.path)
    assert (one.path / "dataset.parquet").stat().st_mtime_ns == before
    assert _datasets(folder) == [one.path.name]


def test_the_same_content_from_other_rows_gets_a_folder_of_its_own(folder: Path) -> None:
    one = make(folder)
    with (folder / "s.jsonl").open("a") as out:
        out.write('{"text": "  ", "split": "train", "mood": "bad"}\n')
    other = make(folder)
    assert other.fingerprint == one.fingerprint
    assert other.path != one.path
    assert other.totals["text_not_blank"] == one.totals["text_not_blank"] + 1
    assert open_dataset(one.path) == one


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("harm", [Path.unlink, _truncated, _folder_in_its_place, _link_to_nothing])
@pytest.mark.parametrize(
    "name",
    [
        "dataset.json",
        "dataset.parquet",
        "profile.json",
        "rows/rows.json",
        "rows/train.mood.npy",
        ".files.json",
    ],
)
def test_a_damaged_folder_is_written_again(folder: Path, name: str, harm: Callable[[Path], None]) -> None:
    one = make(folder)
    before = {path: path.read_bytes() for path in one.path.rglob("*") if path.is_file()}
    harm(one.path / name)
    assert make(folder) == one
    assert {path: path.read_bytes() for path in one.path.rglob("*") if path.is_file()} == before
    assert _datasets(folder) == [one.path.name]


@pytest.mark.parametrize("link", [False, True], ids=["a file", "a link to nothing"])
def test_what_stands_in_the_place_of_a_dataset_makes_room(folder: Path, link: bool) -> None:
    one = make(folder)
    remove_folder(one.path)
    one.path.symlink_to("nowhere") if link else one.path.write_text("x")
    assert make(folder) == one == open_dataset(one.path)


def test_an_incomplete_folder_is_not_opened(folder: Path) -> None:
    one = make(folder)
    (one.path / "dataset.json").unlink()
    with pytest.raises(DataError, match="not a dataset folder"):
        open_dataset(one.path)


def test_what_a_newer_version_wrote_stays(folder: Path) -> None:
    one = make(folder)
    newer = json.loads((one.path / "dataset.json").read_text()) | {"schema_version": 99, "more": 1}
    (one.path / "dataset.json").write_text(json.dumps(newer))
    other = make(folder)
    assert other.path != one.path and other.fingerprint == one.fingerprint
    assert json.loads((one.path / "dataset.json").read_text()) == newer


def test_a_folder_whose_names_are_both_taken_by_others_is_refused(folder: Path) -> None:
    one = make(folder)
    (one.path / "dataset.json").write_text('{"fingerprint": "another"}')
    other = make(folder)
    (other.path / "dataset.json").write_text('{"fingerprint": "another"}')
    with pytest.raises(OSError, match="the name is taken"):
        make(folder)
    assert (other.path / "dataset.json").read_text() == '{"fingerprint": "another"}'


def test_nothing_is_left_behind_when_the_disk_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        make(folder)
    assert list((folder / "data").iterdir()) == []
    monkeypatch.undo()
    assert make(folder).rows["train"] == 3
