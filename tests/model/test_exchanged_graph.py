"""What stands in the place of a graph when the engine opens it changes nothing, and holds nobody."""

from __future__ import annotations

import os
import shutil
import threading
from io import BufferedReader
from pathlib import Path

import pytest

from model.bundle import graph
from model.bundle.errors import GraphError
from model.bundle.plain_files import open_plain
from model.bundle.reader import Bundle


@pytest.fixture(scope="module")
def bundle(tiny_bundles: dict[str, Path]) -> Bundle:
    return Bundle.load(tiny_bundles["float32"], threads=1)


@pytest.fixture
def copy(tiny_bundles: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundles["float32"], tmp_path / "copy"))


def test_a_pipe_in_the_place_of_the_graph_holds_nobody(bundle: Bundle, copy: Path) -> None:
    """As somebody may put it there once the graph was hashed. In a thread: it might be held for ever."""
    (copy / "model.onnx").unlink()
    os.mkfifo(copy / "model.onnx")
    said: list[GraphError] = []

    def load() -> None:
        try:
            graph.load_graph(copy / "model.onnx", bundle.card, 1)
        except GraphError as error:
            said.append(error)

    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    loading.join(10)
    assert not loading.is_alive(), "it waits for the pipe"
    assert "not a plain file" in str(said[0])


def test_the_engine_reads_what_was_opened_whatever_stands_there_by_then(
    bundle: Bundle, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exchanged(path: Path, most_bytes: int, *, follow: bool = False) -> BufferedReader:
        file = open_plain(path, most_bytes, follow=follow)
        path.unlink()
        os.mkfifo(path)
        return file

    monkeypatch.setattr(graph, "open_plain", exchanged)
    session = graph.load_graph(copy / "model.onnx", bundle.card, 1)
    assert [value.name for value in session.get_inputs()] == list(graph.INPUTS)
