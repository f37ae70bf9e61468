"""What was acknowledged is read back; a line that a crash cut short is not."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.journal import Entry, Journal, JournalBroken


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "toy.jsonl")
    assert journal.entries() == []
    first = Entry(event="promoted", version=1, detail="the first one", operation="a")
    second = Entry(event="rolled back", version=2, former=3, detail="über\nzwei Zeilen")
    journal.append(first)
    journal.append(second)
    assert journal.entries() == [first, second]
    assert [entry["event"] for entry in journal.history(1)] == ["rolled back"]
    assert {"at", "event", "version", "detail"} <= journal.history()[0].keys()


@given(cut=st.integers(min_value=1, max_value=200))
def test_a_torn_last_line_is_left_out_and_then_overwritten(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "toy.jsonl")
    first, torn = Entry(event="promoted", version=1), Entry(event="deployed", version=1, detail="x" * 150)
    journal.append(first)
    whole = journal.path.stat().st_size
    journal.append(torn)
    with journal.path.open("r+b") as file:
        file.truncate(min(whole + cut, journal.path.stat().st_size - 1))
    assert journal.entries() == [first]
    journal.append(torn)
    assert journal.entries() == [first, torn]


def test_a_line_that_somebody_edited_is_an_error_with_its_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "toy.jsonl")
    journal.append(Entry(event="promoted", version=1))
    journal.append(Entry(event="deployed", version=1))
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.path.write_text(lines[0][:20] + "\n" + lines[1])
    with pytest.raises(JournalBroken, match="line 1"):
        journal.entries()


def test_a_newer_version_wrote_other_fields_and_events(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "toy.jsonl")
    lines = [
        {"event": "promoted", "version": 1, "at": "now", "pid": 1, "reviewer": {"name": "a"}},
        {"event": "reviewed", "version": 1, "at": "then", "pid": 2},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    journal.path.write_text(text)
    assert [(entry.event, entry.at) for entry in journal.entries()] == [
        ("promoted", "now"),
        ("reviewed", "then"),
    ]
    journal.append(Entry(event="deployed", version=1))
    assert journal.path.read_text().startswith(text), "nothing of it was written over"


@pytest.mark.parametrize(
    "content", [b"\xff\x00 garbage", b"garbage\n", b"[]\n", b'{"event": 3, "version": 1}\n']
)
def test_what_is_no_journal_is_said_with_what_to_do_and_stays(content: bytes, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "toy.jsonl")
    journal.path.write_bytes(content)
    with pytest.raises(JournalBroken, match=r"toy\.jsonl, line 1: .*`mv "):
        journal.entries()
    assert journal.path.read_bytes() == content


@pytest.mark.parametrize("put", [Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_journal_that_is_no_file_is_said(put: Callable[[Path], None], tmp_path: Path) -> None:
    journal = Journal(tmp_path / "toy.jsonl")
    put(journal.path)
    with pytest.raises(JournalBroken, match=r"toy\.jsonl: not a journal entry: .*`mv "):
        journal.entries()


def _append_many(path: Path, version: int) -> None:
    for _ in range(20):
        Journal(path).append(Entry(event="promoted", version=version))


def test_processes_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(path, number)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    versions = [entry.version for entry in Journal(path).entries()]
    assert sorted(versions, key=str) == sorted([n for n in range(4) for _ in range(20)], key=str)
