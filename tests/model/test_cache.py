"""Kept work is taken only if it is whole to the last byte; else it is made again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from model.cache import COMPLETE, Cache, CacheEntry
from model.files import file_sha256


@pytest.fixture
def entry(tmp_path: Path) -> CacheEntry:
    """A piece of work that was done: two files, one of them in a folder."""
    made = Cache(tmp_path).entry("kind", "key")
    assert make(made)
    return made


def make(entry: CacheEntry, *, resume: bool = False) -> bool:
    """Do the work; whether it had to be done."""
    with entry.making(resume=resume) as folder:
        if folder is not None:
            (folder / "in").mkdir(exist_ok=True)
            (folder / "in" / "weights").write_bytes(b"weights")
            (folder / "facts").write_text("facts")
    return folder is not None


def test_whole_work_is_not_done_again(entry: CacheEntry) -> None:
    assert entry.complete and not make(entry) and not make(entry, resume=True)
    assert entry.sha256("in/weights") == file_sha256(entry.folder / "in" / "weights")


def test_what_others_add_later_does_not_count(entry: CacheEntry) -> None:
    (entry.folder / "bundles").mkdir()
    (entry.folder / "bundles" / "one").write_text("made of the weights")
    assert not make(entry)
    (entry.folder / "bundles" / "one").unlink()
    assert not make(entry)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["in/weights", "facts", COMPLETE])
@pytest.mark.parametrize(
    "harm", [Path.unlink, lambda path: path.write_bytes(b"weighty"), _folder, _pipe, _link]
)
def test_damaged_work_is_done_again_from_its_beginning(
    entry: CacheEntry, name: str, harm: Callable[[Path], None], resume: bool
) -> None:
    (entry.folder / "made of the damaged").write_text("x")
    harm(entry.folder / name)
    assert make(entry, resume=resume)
    assert (entry.folder / "in" / "weights").read_bytes() == b"weights"
    unlinked = name == COMPLETE and harm is Path.unlink  # then it looks like work that was never complete
    assert (entry.folder / "made of the damaged").exists() == (unlinked and resume)
    assert not make(entry)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("put", [Path.write_bytes, Path.symlink_to])
def test_what_stands_in_the_place_of_a_folder_makes_room(
    tmp_path: Path, put: Callable[[Path, bytes], None], resume: bool
) -> None:
    entry = Cache(tmp_path).entry("kind", "key")
    entry.folder.parent.mkdir()
    put(entry.folder, b"nowhere")
    assert make(entry, resume=resume) and not make(entry)


def test_work_that_was_never_complete_goes_on_only_where_it_knows_how(tmp_path: Path) -> None:
    for resume in (True, False):
        entry = Cache(tmp_path).entry("kind", str(resume))
        with pytest.raises(KeyboardInterrupt), entry.making(resume=resume) as folder:
            assert folder is not None
            (folder / "checkpoint").write_text("half")
            raise KeyboardInterrupt
        assert not entry.complete
        with entry.making(resume=resume) as folder:
            assert folder is not None and (folder / "checkpoint").exists() == resume
