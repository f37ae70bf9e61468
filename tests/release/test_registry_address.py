"""A registry's file is found from wherever a command is started, and names its artifacts where they lie."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from release.home import Home
from release.registry.candidate import Candidate
from release.registry.client import open_registry
from release.registry.register import register_version
from release.registry.relocate import PLACES
from release.registry.store import StoreProblem, absolute_address, relocated, tracking_uri
from release.saved_settings import Settings, load_settings, save_settings
from release.spec import RegistrySpec

Make = Callable[..., Candidate]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ("sqlite:///a.sqlite", "sqlite:////base/a.sqlite"),
        ("sqlite:///sub/a.sqlite", "sqlite:////base/sub/a.sqlite"),
        ("sqlite:////abs/a.sqlite", "sqlite:////abs/a.sqlite"),
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("postgresql://mlflow/db", "postgresql://mlflow/db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
    ],
)
def test_a_relative_file_lies_beside_the_configuration(configured: str, expected: str) -> None:
    assert absolute_address(configured, Path("/base")) == expected


def test_settings_keep_a_file_beside_the_home_relative(tmp_path: Path) -> None:
    home = Home(tmp_path / "project" / ".headgate")
    spec = RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/project/registry.sqlite")
    save_settings(home, "toy", Settings(registry=spec))
    shutil.copytree(tmp_path / "project", tmp_path / "copy")
    copy = Home(tmp_path / "copy" / ".headgate")
    kept = load_settings(copy, "toy").registry.tracking_uri
    assert tracking_uri(copy, kept) == f"sqlite:///{tmp_path}/copy/registry.sqlite"
    for outside in (f"sqlite:///{tmp_path}/registry.sqlite", "http://mlflow:5000", None):
        save_settings(home, "toy", Settings(registry=RegistrySpec(tracking_uri=outside)))
        assert load_settings(home, "toy").registry.tracking_uri == outside


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreProblem, match=r"registry\.tracking_uri: sqlite:.*no such folder"):
        tracking_uri(Home(tmp_path / "home"), f"sqlite:///{tmp_path}/gone/registry.sqlite")


def places(store: Path) -> list[str]:
    with sqlite3.connect(store) as connection:
        found = [
            str(value)
            for table, column in PLACES
            for (value,) in connection.execute(f"SELECT {column} FROM {table}")
        ]
    connection.close()
    return found


def test_a_moved_store_names_its_artifacts_where_they_lie(
    home: Home, candidate: Make, tmp_path: Path
) -> None:
    spec = RegistrySpec()
    registered = register_version(home, "toy", spec, candidate(1))
    moved = Home(tmp_path / "moved here")
    shutil.move(home.root, moved.root)
    registry = open_registry(moved, "toy", spec)
    assert "moved here" in registry.remark and "paths in it were changed" in registry.remark
    found = places(moved.mlflow / "store.sqlite")
    assert found and all(value.startswith(str(moved.root)) for value in found)
    assert open_registry(moved, "toy", spec).remark == "", "said once"
    bundle = registry.download_bundle(registered.version, tmp_path / "download")
    assert (bundle / "model.onnx").is_file()
    assert not home.root.exists()


def test_a_file_beside_the_configuration_is_moved_with_its_artifacts(
    home: Home, candidate: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow would put its artifacts into the folder that the command was started in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "project").mkdir()
    spec = RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/project/registry.sqlite")
    register_version(home, "toy", spec, candidate(1))
    assert not (tmp_path / "mlruns").exists()
    artifacts = tmp_path / "project" / "registry.sqlite.artifacts"
    assert list(artifacts.rglob("model.onnx"))
    shutil.move(tmp_path / "project", tmp_path / "elsewhere")
    spec = RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/elsewhere/registry.sqlite")
    registry = open_registry(home, "toy", spec)
    assert "paths in it were changed" in registry.remark
    assert (registry.download_bundle(1, tmp_path / "download") / "model.onnx").is_file()


def test_artifacts_that_somebody_put_elsewhere_stay_there(home: Home, tmp_path: Path) -> None:
    own = tmp_path / "own" / "mlflow" / "artifacts"
    registry = open_registry(home, "toy", RegistrySpec())
    registry.client.create_experiment("own", artifact_location=str(own))
    moved = Home(tmp_path / "moved")
    shutil.move(home.root, moved.root)
    assert relocated(moved).endswith("1 paths in it were changed")
    assert str(own) in places(moved.mlflow / "store.sqlite")
    assert relocated(moved) == ""


def test_a_store_that_cannot_be_read_is_left_to_whoever_uses_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.mlflow / "store.sqlite").write_bytes(b"not a database")
    assert relocated(home) == ""
