"""A record is read as far as it is known, or refused in words; what a newer version added to it stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from model.files import RecordDamaged, read_record, remove_folder, with_unknown, write_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    words: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    version: int
    what: Literal["one", "two"] = "one"
    former: int | None = None
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None


def test_there_is_nothing(tmp_path: Path) -> None:
    assert read_record(tmp_path / "absent.json", Record) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"version": 1}, Record(version=1)),
        ({"version": 1, "new": {"a": 1}}, Record(version=1)),
        ({"version": 1, "what": "three"}, Record(version=1, what="three")),  # type: ignore[arg-type]
        ({"version": 1, "former": None}, Record(version=1)),
        ({"version": 1, "former": 3}, Record(version=1, former=3)),
        (
            {"version": 1, "inner": {"limit_s": 2, "words": {"a": "b"}, "new": 1}},
            Record(version=1, inner=Inner(limit_s=2, words={"a": "b"})),
        ),
        ({"version": 1, "maybe": None}, Record(version=1)),
        ({"version": 1, "maybe": {"limit_s": 2, "new": 1}}, Record(version=1, maybe=Inner(limit_s=2))),
    ],
)
def test_what_is_known_of_it_is_read(raw: dict[str, Any], expected: Record, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(raw))
    assert read_record(path, Record) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xff\x00", "not JSON"),
        (b'{"version": 1', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a JSON object"),
        (b"{}", "'version' is missing"),
        (b'{"version": "1"}', "'version' is not of its type"),
        (b'{"version": true}', "'version' is not of its type"),
        (b'{"version": 1, "what": 3}', "'what' is not of its type"),
        (b'{"version": 1, "former": 1.5}', "'former' is not of its type"),
        (b'{"version": 1, "inner": []}', "a JSON object"),
        (b'{"version": 1, "inner": {"words": "a"}}', "'words' is not of its type"),
    ],
)
def test_what_is_none_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RecordDamaged, match=said):
        read_record(path, Record)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("put", "said"),
    [
        (Path.mkdir, "not a plain file"),
        (os.mkfifo, "not a plain file"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    ],
)
def test_what_is_no_file_is_said_at_once(put: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    put(tmp_path / "record.json")
    with pytest.raises(RecordDamaged, match=said):
        read_record(tmp_path / "record.json", Record)


def test_what_a_newer_version_added_is_written_back_and_removed_words_are_not() -> None:
    kept = {"version": 1, "new": 1, "inner": {"words": {"old": "word"}, "newer": [2]}}
    record = Record(version=2, inner=Inner(words={"a": "b"}))
    assert with_unknown(record, kept) == {
        "version": 2,
        "what": "one",
        "former": None,
        "maybe": None,
        "new": 1,
        "inner": {"words": {"a": "b"}, "limit_s": 1.0, "newer": [2]},
    }
    assert with_unknown(record, None)["version"] == 2


def test_a_folder_in_the_place_of_a_file_is_said_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(OSError, match=r"record\.json: seen a folder, expected a file. Move it away"):
        write_bytes(tmp_path / "record.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("put", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_whatever_stands_in_a_place_can_be_removed(put: Callable[[Path], None], tmp_path: Path) -> None:
    remove_folder(tmp_path / "place")
    put(tmp_path / "place")
    remove_folder(tmp_path / "place")
    assert not list(tmp_path.iterdir())
