"""What is kept of a release holds no password or token: addresses, reasons, entries, settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from release.home import Home
from release.journal import Entry, Journal
from release.registry.client import Registry, RegistryProblem, open_registry
from release.registry.register import RegisteredVersion
from release.registry.store import SecretInAddress
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from release.status import read_status
from release.targets.plugin import TargetError, with_variables
from serving.spec import DeploySpec

SECRET = "n0b0dys-business"
ADDRESS = f"http://me:{SECRET}@127.0.0.1:9"


def test_a_registry_with_a_password_is_not_opened(tmp_path: Path) -> None:
    """Nor one of settings that an earlier version kept."""
    with pytest.raises(SecretInAddress, match="MLFLOW_TRACKING_PASSWORD") as caught:
        open_registry(Home(tmp_path), "toy", RegistrySpec(tracking_uri=ADDRESS))
    assert SECRET not in str(caught.value)


def test_an_entry_is_masked(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "toy.jsonl")
    journal.append(Entry(event="not deployed", version=1, detail=f"no answer from {ADDRESS}/x"))
    assert [entry.detail for entry in journal.entries()] == ["no answer from http://***@127.0.0.1:9/x"]
    assert SECRET not in journal.path.read_text()


def test_a_version_shows_where_it_is_registered_without_the_password() -> None:
    made = RegisteredVersion(name="toy", version=1, run_id="r", bundle_sha256="a" * 64, tracking_uri=ADDRESS)
    assert made.facts["tracking_uri"] == "http://***@127.0.0.1:9"


def test_a_librarys_message_is_masked_before_it_is_cut(tmp_path: Path) -> None:
    """A password that is cut in two would not be known as one."""
    registry = Registry("http://127.0.0.1:9", "toy", RegistrySpec())
    for before in range(270, 300):
        with pytest.raises(RegistryProblem) as caught, registry.asked("look"):
            raise OSError("x" * before + f" {ADDRESS} did not answer")
        assert SECRET[:6] not in str(caught.value)


def test_a_registry_that_is_down_does_not_show_what_the_environment_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = open_registry(Home(tmp_path), "toy", RegistrySpec(tracking_uri="http://127.0.0.1:9"))
    with pytest.raises(RegistryProblem, match=r"127\.0\.0\.1:9") as caught:
        registry.pointed()
    assert SECRET not in str(caught.value)


def test_a_targets_config_takes_its_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_KEY", SECRET)
    config: dict[str, Any] = {"api_key": "${CLOUD_KEY}", "region": "north"}
    assert with_variables(config) == {"api_key": SECRET, "region": "north"}
    monkeypatch.delenv("CLOUD_KEY")
    with pytest.raises(TargetError, match="CLOUD_KEY is not set"):
        with_variables(config)


def test_status_masks_what_an_earlier_version_kept(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from flows.cli.commands import main

    home = Home(tmp_path)
    deploy = DeploySpec(target=f"cloud:{ADDRESS}")
    save_settings(home, "toy", Settings(registry=RegistrySpec(), deploy=deploy))
    entry = {"event": "not deployed", "version": 1, "detail": f"no answer from {ADDRESS}"}
    (home.journal / "toy.jsonl").write_text(json.dumps(entry) + "\n")
    assert SECRET in json.dumps(read_status(tmp_path, "toy"))
    for options in ([], ["--json"]):
        done = CliRunner().invoke(main, ["status", "toy", "--home", str(tmp_path), *options])
        assert done.exit_code == 0 and SECRET not in done.output and "***" in done.output
