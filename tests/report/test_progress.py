"""Steps show and keep no password."""

from __future__ import annotations

import re

import pytest

from report.progress import CONSOLE_VARIABLE, Step
from report.time_left import TimeLeft, whole_run


def test_a_step_masks_its_lines_and_the_error_that_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONSOLE_VARIABLE, "lines")
    with pytest.raises(RuntimeError) as caught, Step("ask http://user:pass@host") as step:
        step.outcome = "no answer from http://user:pass@host/x"
        raise RuntimeError("http://user:pass@host is down")
    assert str(caught.value) == "RuntimeError: http://***@host is down"
    said = capsys.readouterr().err
    assert "pass" not in said and said.count("http://***@host") == 3


def test_what_is_left_of_a_run_is_planned_and_then_learned() -> None:
    run = TimeLeft({"baseline a": 60.0, "baseline b": 60.0, "shared model": 120.0})
    assert run.seconds() == 240 and run.words() == "about 4 min left"
    run.at("merge sources", 1.0, 500.0)  # nobody planned it
    run.at("baseline a", 0.05, 9.0)
    assert run.seconds() == pytest.approx(237), "3 of 60 planned seconds say nothing yet"
    run.at("baseline a", 0.5, 90.0)
    assert run.seconds() == pytest.approx(3 * 210), "three times as slow as planned"
    for title in ("baseline a", "baseline b", "shared model"):
        run.at(title, 1.0, 30.0)
    assert run.seconds() == 0 and run.words() == "about 10 s left"


def test_steps_say_what_is_left_of_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONSOLE_VARIABLE, "lines")
    monkeypatch.setattr("report.progress.PLAIN_LINE_EVERY_S", 0.0)
    with whole_run({"baseline a": 300.0, "shared model": 300.0}):
        with Step("baseline a", unit="steps") as step:
            step.to(3, 10, "loss 0.7")
        with Step("shared model"):
            pass
    with Step("report"):
        pass
    first, middle, _, second, _, other, _ = capsys.readouterr().err.splitlines()
    assert first == "  baseline a …  (about 10 min left of the run)"
    assert middle.startswith("  baseline a: 3/10 steps loss 0.7, about 0 s left, about ")
    assert middle.endswith(" left of the run") and second.startswith("  shared model …  (about ")
    assert other == "  report …"


@pytest.mark.parametrize("columns", [80, 140])
def test_no_part_of_a_bar_is_cut(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONSOLE_VARIABLE, "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # stands for a terminal
    monkeypatch.setenv("COLUMNS", str(columns))
    title = "baseline a rather long head"
    with whole_run({title: 6000.0}), Step(title, unit="steps") as step:
        step.to(3, 10, "loss 0.0041  11 rows/s")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line for line in re.split(r"[\r\n]", shown) if "run:" in line]
    assert lines and not any("…" in line for line in lines), lines
    assert all(len(line) <= columns and " 30%" in line for line in lines), lines
    assert all("min left" in line or "h left" in line for line in lines), lines
