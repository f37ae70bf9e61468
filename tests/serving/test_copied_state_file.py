"""An endpoint is stopped by the state folder that it belongs to, and by no copy of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving.process import control as process


def elsewhere(file: Path, folder: Path, bring: Callable[[Path, Path], Any]) -> Path:
    """The file, brought into a folder that is made."""
    folder.mkdir()
    bring(file, folder / file.name)
    return folder / file.name


def test_a_copy_does_not_know_the_endpoint_of_the_original(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    state = start(spec)
    original = Path(state.state_file)
    copy = elsewhere(original, shop.root / "copy", shutil.copy)
    assert process.status(copy) is None
    assert not process.stop(copy)
    assert process.status(original) == state


def test_a_moved_folder_takes_its_endpoint_along(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    state = start(spec)
    original = Path(state.state_file)
    moved = elsewhere(original, shop.root / "moved", shutil.move)
    assert process.status(moved) == state
    assert not process.at_its_place(state, moved)
    assert process.stop(moved)
    assert not state.alive


def test_another_endpoint_at_the_former_place_is_not_the_original(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    state = start(spec)
    original = Path(state.state_file)
    moved = elsewhere(original, shop.root / "moved", shutil.move)
    other = process.start(shop.folder.path, shop.public_key, spec, original, shop.root / "other.log")
    try:
        assert other.pid != state.pid
        assert process.stop(moved) and other.alive
    finally:
        process.stop(original)


def test_a_link_to_its_folder_is_the_same_place(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    state = start(spec)
    original = Path(state.state_file)
    link = shop.root / "link"
    link.symlink_to(original.parent)
    assert process.status(link / original.name) == state
    assert process.at_its_place(state, link / original.name)


def test_a_file_of_an_older_version_is_believed(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    state = start(spec)
    file = Path(state.state_file)
    raw = json.loads(file.read_bytes())
    del raw["state_file"]
    file.write_text(json.dumps(raw))
    found = process.status(file)
    assert found is not None and found.pid == state.pid
