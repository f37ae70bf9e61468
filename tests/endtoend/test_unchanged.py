"""Runs that have nothing to do, on the real flow: they end as they would, at once, and nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.outcome import Outcome
from release.home import Home
from release.runs.alone import alone
from tests.support.tiny_project import deployed_config

pytestmark = pytest.mark.timeout(600)
NAME = "tiny"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, prefect_harness: None) -> Iterator[Path]:
    """A project whose first run lost its registry when all was judged, and whose second one was deployed; the
    endpoint is stopped at the end."""
    from flows.retrain import retrain
    from release.targets.endpoint import stop

    made = deployed_config(tmp_path_factory.mktemp("unchanged"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADGATE_FAULT", "run_opened:raise")
        flow: Any = retrain
        assert flow(made, home=home_of(made).root, return_state=True).is_failed()
    bundles = {path: path.stat().st_mtime_ns for path in home_of(made).root.rglob("model.onnx")}
    assert bundles, "trained and packaged, and not registered"
    outcome = run(made)
    assert outcome.stage == "deployed", outcome.reasons
    again = home_of(made).root.rglob("model.onnx")
    new = [path for path in again if path not in bundles and "releases" not in path.parts]
    assert [path for path in new if "mlflow" not in path.parts] == [], "nothing was made again"
    assert len(list(home_of(made).runs.iterdir())) == 1, "what was judged is registered from there"
    yield made
    stop(home_of(made).root, NAME)


def home_of(config: Path) -> Home:
    return Home(config.parent / "home")


def run(config: Path, **options: Any) -> Outcome:
    from flows.retrain import retrain

    state = retrain(config, home=home_of(config).root, return_state=True, **options)  # type: ignore[call-overload]
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome), outcome
    return outcome


def _changed(config: Path, **sections: Any) -> None:
    raw = yaml.safe_load(config.read_text(encoding="utf-8"))
    for section, fields in sections.items():
        raw[section] = {**raw.get(section, {}), **fields}
    config.write_text(yaml.safe_dump(raw), encoding="utf-8")


def made(config: Path) -> set[str]:
    """What only a training or a registration leaves."""
    home = home_of(config)
    trained = [*home.cache.glob("shared/*/fitted/fit.json"), *home.runs.glob("*/shared")]
    return {str(path) for path in (*trained, *home.releases(NAME).glob("versions/*"))}


def test_unchanged_inputs_end_at_once_and_say_against_what(config: Path) -> None:
    before, began_s = made(config), time.monotonic()
    outcome = run(config)
    seconds = time.monotonic() - began_s
    assert (outcome.stage, outcome.exit_code, outcome.registered, outcome.deployed) == (
        "unchanged",
        0,
        {},
        {},
    )
    assert outcome.reasons[0].startswith("compared with version 1, which serves"), outcome.reasons
    assert Path(outcome.pages["Report"]).is_file(), "the report of the version that serves"
    assert made(config) == before
    assert seconds < 30


def test_a_second_run_of_the_project_is_told_who_is_at_work(config: Path) -> None:
    with alone(home_of(config), NAME, "first-run") as busy:
        assert busy == ""
        outcome = run(config)
    assert (outcome.stage, outcome.exit_code) == ("busy", 5)
    assert "first-run" in outcome.reasons[0] and "process" in outcome.reasons[0]


@pytest.mark.slow
def test_what_did_not_pass_is_not_trained_again(config: Path) -> None:
    original = config.read_text(encoding="utf-8")
    _changed(config, gates={"max_memory_mb": 1.0})
    try:
        first = run(config)
        assert first.stage == "model_rejected", first
        before = made(config)
        again = run(config)
        assert (again.stage, again.exit_code) == ("model_rejected", 4)
        assert (again.reasons, again.pages, again.registered) == (
            first.reasons,
            first.pages,
            first.registered,
        )
        assert [dict(row) for row in again.rows] == [dict(row) for row in first.rows]
        assert made(config) == before
        assert any("nothing was trained" in remark for remark in again.remarks)
    finally:
        config.write_text(original, encoding="utf-8")
    assert run(config).stage == "unchanged"


def test_a_difference_has_a_name_and_few_changed_rows_train_nothing(config: Path) -> None:
    original = config.read_text(encoding="utf-8")
    rows = config.parent / "rows.csv"
    data = rows.read_text(encoding="utf-8")
    rows.write_text(data + "one more text about rain and wind,weather,train\n", encoding="utf-8")
    _changed(config, schedule={"min_change": 5})
    try:
        outcome = run(config)
        assert outcome.stage == "unchanged", outcome
        assert "rows: 1 of head topic; fewer than schedule.min_change, 5" in outcome.reasons[0]
    finally:
        config.write_text(original, encoding="utf-8")
        rows.write_text(data, encoding="utf-8")
