"""The digest of the code that keys every cache: any change in any sub-folder changes it."""

from __future__ import annotations

from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest

from model.code import _installed, _required, folder_digest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a module in a sub-folder of a sub-folder."""
    deep = tmp_path / "package" / "train" / "deeper"
    deep.mkdir(parents=True)
    (tmp_path / "package" / "spec.py").write_text("A = 1\n")
    (deep / "loop.py").write_text("B = 1\n")
    return tmp_path / "package"


def test_a_change_in_a_sub_folder_changes_the_digest(package: Path) -> None:
    before = folder_digest(package)
    (package / "train" / "deeper" / "loop.py").write_text("B = 2\n")
    assert folder_digest(package) != before


def test_a_module_that_moves_changes_the_digest(package: Path) -> None:
    before = folder_digest(package)
    (package / "train" / "deeper" / "loop.py").rename(package / "train" / "loop.py")
    assert folder_digest(package) != before


def test_what_is_no_code_does_not_change_it(package: Path) -> None:
    before = folder_digest(package)
    (package / "train" / "__pycache__").mkdir()
    (package / "train" / "__pycache__" / "loop.cpython-311.pyc").write_bytes(b"\0")
    assert folder_digest(package) == before


def test_the_boundary_between_name_and_content_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.py").write_text("y.py")
    (tmp_path / "b" / "x.py").write_text("")
    (tmp_path / "b" / "y.py").write_text("")
    assert folder_digest(tmp_path / "a") != folder_digest(tmp_path / "b")


def test_extras_that_decide_nothing_are_no_dependencies() -> None:
    needed = set(_required(_installed(distribution("headgate"))))
    assert {"torch", "distributed"} <= needed and not {"mkdocs", "pytest"} & needed


def test_metadata_are_read_as_the_standard_library_reads_them() -> None:
    for one in distributions():
        read = _installed(one)
        assert (read.name, read.version) == (one.metadata["Name"], one.version)
        assert list(read.requires) == list(one.requires or ()), read.name


def test_a_library_without_such_metadata_is_read_by_the_standard_library(tmp_path: Path) -> None:
    old = tmp_path / "old.egg-info"
    old.mkdir()
    (old / "PKG-INFO").write_text("Metadata-Version: 1.2\nName: old\nVersion: 3\n")
    (old / "requires.txt").write_text("numpy\n")
    [one] = distributions(path=[str(tmp_path)])
    assert _installed(one) == ("old", "3", ["numpy"])
