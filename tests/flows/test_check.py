"""`headgate check`, and what a run looks at first: all problems at once, before anything is started."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from flows.check.encoder import chosen_encoder
from flows.check.finding import NotReady
from flows.check.ready import look, refuse_unready
from flows.cli.commands import main
from flows.config.load import load_project
from model.jobs.hub import hub_answers
from model.spec import BackboneSpec
from release.home import Home
from tests.release.test_crashes import ship
from tests.support.projects import candidate, home, store
from tests.support.shop_files import write_chats, write_tickets
from tests.support.toy_bundle import write_bundle_manifest

__all__ = ["candidate", "home", "store"]


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that refuses connections, and an empty cache."""
    from huggingface_hub import constants

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def written(folder: Path, **changes: Any) -> Path:
    write_tickets(folder)
    write_chats(folder)
    project: dict[str, Any] = {
        "name": "my-shop",
        "backbone": "offline",
        "heads": {"topic": "multiclass", "tags": "multilabel"},
        "sources": {
            "tickets": {"path": "tickets.csv", "text": "message", "heads": {"topic": "topic"}},
            "chats": {
                "path": "chats.csv",
                "delimiter": ";",
                "heads": {"tags": {"column": "tags", "encoding": "separator", "separator": "|"}},
            },
        },
        "deploy": {"port": 0},
    }
    project |= changes
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in project.items() if v is not None}))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_a_sound_project_is_ready_and_nothing_is_written(tmp_path: Path) -> None:
    config = written(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = run("check", config)
    assert done.exit_code == 0 and "ready" in done.output, done.output
    assert "about 400 rows" in done.output and "offline, packaged with Headgate" in done.output
    shown = done.output.replace(str(tmp_path), "folder")
    assert max(map(len, shown.splitlines())) <= 80
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["check", "retrain"])
def test_all_problems_come_at_once(tmp_path: Path, command: str) -> None:
    sources = {
        "tickets": {"path": "tickets.csv", "text": "massage", "heads": {"topic": "topics"}},
        "chats": {"path": "chat.csv", "heads": {"tags": "tags"}},
    }
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        config = written(
            tmp_path,
            sources=sources,
            backbone="./no-such-folder",
            deploy={"port": port},
            registry={"tracking_uri": "http://127.0.0.1:9"},
        )
        done = run(command, config, "--home", tmp_path / "home")
    said = " ".join(done.output.split())
    assert done.exit_code == 2, said
    for part in (
        "'massage'",
        "'topics'",
        "chat.csv: there is no such file or folder (did you mean `chats.csv`?)",
        "'./no-such-folder' is not a folder",
        f"127.0.0.1:{port} can't be listened on",
        "registry.tracking_uri: http://127.0.0.1:9 can't be reached",
    ):
        assert part in said, part
    assert "Prefect" not in said


def test_a_single_kind_of_problem_keeps_its_exit_code(tmp_path: Path) -> None:
    down = written(tmp_path, registry={"tracking_uri": "http://127.0.0.1:9"})
    assert run("check", down).exit_code == 1
    config = written(tmp_path)
    (tmp_path / "tickets.csv").unlink()
    assert run("check", config).exit_code == 3


def test_a_state_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("check", written(tmp_path), "--home", tmp_path / "file" / "home")
    assert done.exit_code == 2 and "can't be made" in " ".join(done.output.split())


@pytest.mark.usefixtures("no_network")
def test_without_a_network_the_packaged_encoder_is_taken_where_none_is_named(tmp_path: Path) -> None:
    began_s = time.monotonic()
    project, said = chosen_encoder(load_project(written(tmp_path, backbone=None)))
    assert project.backbone == BackboneSpec(name="offline")
    assert "no `backbone` is named" in said and "--backbone" in said
    named, said = chosen_encoder(load_project(written(tmp_path, backbone="distilbert-base-uncased")))
    assert named.backbone.name == "distilbert-base-uncased" and not said
    assert time.monotonic() - began_s < 5


@pytest.mark.usefixtures("no_network")
def test_without_a_network_an_encoder_of_the_hub_is_refused_in_seconds(tmp_path: Path) -> None:
    config = written(tmp_path, backbone="distilbert-base-uncased")
    began_s = time.monotonic()
    found = look(load_project(config), tmp_path, tmp_path / "home")
    assert time.monotonic() - began_s < 10
    [problem] = [one for one in found if one.state == "problem"]
    assert "the hub can't be reached" in problem.says and "`offline`" in problem.says


def test_texts_longer_than_the_encoder_takes_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    config = written(tmp_path, backbone="offline", train={"max_length": 600})
    done = run("check", config)
    said = " ".join(done.output.split())
    assert done.exit_code == 2 and "train.max_length: seen 600, but 'offline' takes at most 512" in said


def test_a_hub_that_takes_the_connection_and_is_silent_does_not_hold_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        began_s = time.monotonic()
        assert not hub_answers(0.5)
    assert time.monotonic() - began_s < 2


def test_an_optional_source_that_is_absent_is_a_remark(tmp_path: Path) -> None:
    config = written(tmp_path)
    raw = yaml.safe_load(config.read_text())
    raw["sources"]["more"] = {"path": "more.csv", "optional": True, "heads": {"topic": "topic"}}
    config.write_text(yaml.safe_dump(raw))
    done = run("check", config)
    assert done.exit_code == 0 and "left out" in done.output


def test_what_a_retraining_may_not_need_does_not_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = written(tmp_path, registry={"tracking_uri": "http://127.0.0.1:9"})
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Full())
    found = look(load_project(config), tmp_path, tmp_path / "home")
    assert {one.what for one in found if one.state == "problem"} == {"registry", "disk"}
    refuse_unready(load_project(config), config, tmp_path / "home", deploys=True)
    (tmp_path / "tickets.csv").unlink()
    with pytest.raises(NotReady, match="3 problems"):
        refuse_unready(load_project(config), config, tmp_path / "home", deploys=True)


class _Full:
    free = 0


@pytest.mark.usefixtures("no_network")
def test_where_none_is_named_the_encoder_is_the_champions_whatever_the_network(
    home: Home, candidate: Any, tmp_path: Path
) -> None:
    made = candidate(1)
    card = made.bundle / "card.json"
    raw = json.loads(card.read_text())
    raw["provenance"] = {
        **raw.get("provenance", {}),
        "backbone": {"name": "someone/small", "revision": "c0ffee", "layers": 3},
    }
    card.write_text(json.dumps(raw))
    ship(home, replace(made, bundle_sha256=write_bundle_manifest(made.bundle)))
    config = written(tmp_path, name="toy", backbone=None)
    project, said = chosen_encoder(load_project(config), home.root)
    assert project.backbone == BackboneSpec(name="someone/small", revision="c0ffee", layers=3)
    assert "the champion's, someone/small, is taken" in said
    assert chosen_encoder(load_project(config), tmp_path / "another")[0].backbone.name == "offline"
