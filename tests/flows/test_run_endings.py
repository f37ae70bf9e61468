"""How the last runs ended and when the next one starts: kept in the state folder, shown by `status`."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flows.cli.commands import main
from flows.ending import final_state
from flows.notify.record import record_file
from flows.outcome import Outcome
from flows.schedule.endings import MOST, Ending, last_endings, note_ending
from flows.schedule.failures import note_end
from flows.schedule.record import Scheduled, keep_schedule, next_starts
from model.files import write_json
from release.home import Home
from tests.support.scheduled_project import scheduled_config
from tests.support.told import by_http


class Seen(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records = list[logging.LogRecord]()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_the_last_endings_are_kept_and_no_more(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for number in range(MOST + 7):
        note_ending(home, "kitchen", Ending(flow="retrain", end="Deployed", detail=f"number {number}"))
    kept = last_endings(home, "kitchen", 1000)
    assert len(kept) == MOST and kept[-1].detail == f"number {MOST + 6}"
    note_ending(home, "kitchen", Ending(flow="retrain", end="Rejected", detail="long " * 1000))
    assert len(last_endings(home, "kitchen", 1)[0].detail) < 400
    assert last_endings(home, "cellar", 5) == []


@pytest.mark.parametrize("harm", [b"", b"[", b"{}", b'[{"flow": 3}]', b"\xff"])
def test_a_damaged_file_is_begun_anew(harm: bytes, tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.endings / "kitchen.json").write_bytes(harm)
    assert last_endings(home, "kitchen", 5) == []
    note_ending(home, "kitchen", Ending(flow="validate", end="Accepted"))
    assert [one.end for one in last_endings(home, "kitchen", 5)] == ["Accepted"]


def test_the_next_starts_need_no_server(tmp_path: Path) -> None:
    home, server = Home(tmp_path), "http://127.0.0.1:9/api"
    kept = Scheduled(
        cron="0 3 * * 1",
        validate_cron="0 1 * * *",
        timezone="Europe/Berlin",
        server=server,
        config="/project.yaml",
    )
    keep_schedule(home, "kitchen", kept)
    assert next_starts(home, "kitchen", datetime(2027, 10, 31, 12, tzinfo=UTC)) == [
        "2027-11-01 01:00 Europe/Berlin  validate",
        "2027-11-01 03:00 Europe/Berlin  retrain",
    ]
    (home.schedules / "kitchen.json").write_text('{"cron": "nonsense", "timezone": 3}')
    assert next_starts(home, "kitchen") == []


@pytest.mark.usefixtures("prefect_harness")
def test_every_end_of_a_flow_is_noted_also_an_error(tmp_path: Path) -> None:
    from flows.validate import validate

    file = scheduled_config(tmp_path)
    home = Home(tmp_path / "home")
    state = validate(file, home=home.root, return_state=True)
    assert [one.end for one in last_endings(home, "kitchen", 5)] == [state.name]
    (tmp_path / "rows.csv").unlink()
    state = validate(file, home=home.root, return_state=True)
    assert state.is_failed()
    *_, last = last_endings(home, "kitchen", 5)
    assert (last.flow, last.end) == ("validate", "Failed") and "rows.csv" in last.detail
    told = CliRunner().invoke(main, ["status", "--home", str(home.root), "--json"])
    [project] = json.loads(told.stdout)["projects"]
    assert [one["end"] for one in project["endings"]][-1] == "Failed" and project["next"] == []
    shown = CliRunner().invoke(main, ["status", "--home", str(home.root)])
    assert "ended" in shown.stdout and "validate Failed" in shown.stdout


@pytest.mark.usefixtures("prefect_harness")
def test_a_run_of_a_worker_that_is_rejected_logs_no_traceback() -> None:
    from prefect import flow
    from prefect.flow_engine import run_flow

    from flows.prefect_runs import log_to_prefect

    @flow
    def rejected() -> Any:
        log_to_prefect()
        return final_state(Outcome(stage="data_rejected", name="kitchen", reasons=("because",)))

    logger, seen = logging.getLogger("prefect.flow_runs"), Seen()
    logger.addHandler(seen)
    try:
        with pytest.raises(TypeError, match="failed state"):  # which ends the process, by exit code
            run_flow(rejected, error_logger=logger)
        logger.error("it is broken", exc_info=ValueError("something else"))
    finally:
        logger.removeHandler(seen)
    assert [one.getMessage() for one in seen.records if one.exc_info] == ["it is broken"]
    assert any("Rejected" in one.getMessage() for one in seen.records)


def test_what_has_not_run_yet_has_a_status(tmp_path: Path) -> None:
    home = Home(tmp_path)
    kept = Scheduled(cron="0 3 * * 1", validate_cron=None, timezone="UTC", server="", config="/project.yaml")
    keep_schedule(home, "kitchen", kept)
    write_json(home.schedules / "kitchen.told.json", {})  # of drift, beside it
    told = CliRunner().invoke(main, ["status", "--home", str(tmp_path), "--json"])
    [project] = json.loads(told.stdout)["projects"]
    assert project["name"] == "kitchen" and project["next"][0].endswith("03:00 UTC  retrain")


def test_the_name_of_a_project_may_have_a_hyphen(tmp_path: Path) -> None:
    config = scheduled_config(tmp_path)
    config.write_text(config.read_text().replace("name: kitchen", "name: the-kitchen_2"))
    home = Home(tmp_path / "home")
    home.endings.mkdir(exist_ok=True)
    note_end("retrain", {"config": str(config), "home": str(home.root)}, "Failed", "because")
    assert [(one.end, one.detail) for one in last_endings(home, "the-kitchen_2", 5)] == [
        ("Failed", "because")
    ]
    config.write_text(config.read_text().replace("the-kitchen_2", "../kitchen"))
    note_end("retrain", {"config": str(config), "home": str(home.root)}, "Failed", "because")
    assert len(list(home.endings.iterdir())) == 1


def test_a_run_that_was_refused_before_its_flow_is_noted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*os.environ, "PREFECT_HOME"):
        monkeypatch.setenv(variable, os.environ.get(variable, ""))  # what the command sets ends with the test
    config, home = scheduled_config(tmp_path), Home(tmp_path / "home")
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        targets = [{"on": ["failed"], "url_env": "HOOK"}]
        write_json(record_file(home, "kitchen"), {"config": str(config), "targets": targets, "since": 1.0})
        (tmp_path / "rows.csv").unlink()
        arguments = ["retrain", str(config), "--home", str(home.root)]
        assert CliRunner().invoke(main, arguments).exit_code == 3
        config.write_text(config.read_text() + "nonsense: 3\n")
        assert CliRunner().invoke(main, arguments).exit_code == 2
        (message,) = somebody.heard(1)
    assert message["title"] == "headgate kitchen: FAILED" and "rows.csv" in message["message"]
    first, second = last_endings(home, "kitchen", 5)
    assert (first.flow, first.end) == ("retrain", "Failed") and "rows.csv" in first.detail
    assert "nonsense" in second.detail
