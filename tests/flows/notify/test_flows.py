"""Flows tell how they ended, also where they failed or their configuration is broken; and tidy up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.config.load import load_project
from flows.notify import record as records
from flows.notify.ending import remember
from flows.parts.end import remove_flow_runs, run_failed
from flows.rollback import rollback
from flows.validate import validate
from release.home import Home
from tests.support.told import Somebody, by_http

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Any:
    with by_http() as found:
        monkeypatch.setenv("HEADGATE_TEST_HOOK", found.url)
        yield found


@pytest.fixture
def config(two_heads: Callable[..., Path]) -> Path:
    return two_heads(notify=[{"on": ["rejected", "failed", "rolled_back"], "url_env": "HEADGATE_TEST_HOOK"}])


def changed(config: Path, **fields: Any) -> None:
    raw = yaml.safe_load(config.read_text())
    raw["notify"] = [{"on": list(one.pop(True, one.pop("on", ()))), **one} for one in raw["notify"]]
    config.write_text(yaml.safe_dump({**raw, **fields}), encoding="utf-8")


@pytest.mark.timeout(600)  # the first flow waits for Prefect's server and its libraries
def test_a_flow_tells_how_it_ended_and_tidies_up(
    prefect_harness: None, config: Path, somebody: Somebody, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    for number in range(7):
        (home.runs / f"2020010{number + 1}T0-00000000").mkdir()
    for folder in home.runs.iterdir():
        os.utime(folder, (0, 0))
    begin = datetime.now(UTC)

    state = validate(config, home=home.root, return_state=True)
    assert state.name == "Accepted" and somebody.messages == []
    assert len(list(home.runs.iterdir())) == 6, "five and its own"
    assert "validate" in records.read(home, "taught").ended

    changed(config, expectations={"rows_per_label": {"severity": "critical"}, "min_rows_per_label": 5000})
    state = validate(config, home=home.root, return_state=True)
    assert state.name == "Rejected"
    assert somebody.titles(1) == ["headgate taught: rejected"]
    text = somebody.messages[0]["message"]
    assert "rows_per_label" in text
    assert f"run: headgate validate {config}" in text and "look: " in text

    (tmp_path / "rows.csv").rename(tmp_path / "away.csv")
    state = validate(config, home=home.root, return_state=True)
    assert state.is_failed()
    assert somebody.titles(2)[1:] == ["headgate taught: FAILED"]
    assert "rows.csv" in somebody.messages[1]["message"]

    config.write_text("name: taught\nheads: nonsense\n")
    with home_forgets(home):
        state = rollback(config, home=home.root, return_state=True)
    assert state.is_failed() and somebody.titles(3)[2:] == ["headgate taught: FAILED"], (
        "known by its last record"
    )
    assert "problem" in somebody.messages[2]["message"]

    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.parameters.get("home") == str(home.root)]
        assert len(runs) == 4
        assert remove_flow_runs(home, config, 1) == 0
        assert remove_flow_runs(home, config, 1, begin + timedelta(days=1, minutes=10)) == 4
        gone = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in runs]))
        assert client.read_flow_runs(flow_run_filter=gone) == []


@flow(name="broken", on_failure=[run_failed], on_crashed=[run_failed])
def broken(config: Path, home: Path) -> None:
    raise KeyError("a text of the data")


def test_of_an_error_that_nobody_foresaw_only_the_kind_is_told(
    prefect_harness: None, config: Path, somebody: Somebody, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    remember(home, load_project(config), config)
    assert broken(config, home.root, return_state=True).is_failed()
    (message,) = somebody.heard(1)
    assert message["message"].startswith("broken: KeyError, which nobody foresaw; its traceback")
    assert "text of the data" not in str(message)


class home_forgets:
    """Within it nothing counts as told before."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def __enter__(self) -> None:
        with records.changing(self.home, "taught") as record:
            record.told = {}

    def __exit__(self, *_: object) -> None:
        pass


def test_notify_test_says_what_became_of_each(config: Path, somebody: Somebody, tmp_path: Path) -> None:
    more = {"on": ["failed"], "url_env": "HEADGATE_NOT_SET"}
    changed(config, notify=[{"on": ["rejected"], "url_env": "HEADGATE_TEST_HOOK"}, more])
    command = [sys.executable, "-m", "flows.cli.commands", "notify-test", str(config)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "url_env HEADGATE_TEST_HOOK: delivered",
        "url_env HEADGATE_NOT_SET: NOT delivered: the variable HEADGATE_NOT_SET is not set where this runs; "
        "set it there",
    ]
    assert "nothing happened" in somebody.messages[0]["message"]
