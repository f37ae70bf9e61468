"""Every ending of a flow has an exit code, a named state and a headline; every kind of error an exit code."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from flows.cli import exit_codes
from flows.cli.console import headline, pasted_lines, show_outcome, verdict_table
from flows.ending import final_state, state_name
from flows.outcome import STAGES, Outcome, Stage
from model.errors import ErrorKind, HeadgateError, foreseen

CODES = {
    "deployed": 0,
    "unchanged": 0,
    "busy": 5,
    "validated": 0,
    "rolled_back": 0,
    "taken_back": 6,
    "swept": 0,
    "data_rejected": 3,
    "needs_consent": 4,
    "model_rejected": 4,
    "held": 4,
    "deployment_undone": 1,
    "unconfirmed": 1,
}
"""As the README lists them for schedulers."""


@pytest.mark.parametrize("stage", STAGES)
def test_an_ending_goes_through_state_exit_code_and_terminal(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome(stage=stage, name="kitchen", reasons=("because",))
    assert outcome.exit_code == CODES[stage]
    state = final_state(outcome)
    assert state.name == state_name(stage) and state.message == "because"
    assert state.is_failed() == (stage in ("deployment_undone", "taken_back", "unconfirmed")), (
        "a rejection is a completed run"
    )
    word, sentence, style = headline(stage)
    assert ("green" in style) == (outcome.exit_code == 0)
    show_outcome(outcome, home=tmp_path)
    shown = capsys.readouterr().out
    assert f"{word}  kitchen: {sentence}" in shown and "because" in shown
    assert f"exit code {outcome.exit_code}" in shown


REMARKS = ("labels: a long remark " + "of many words " * 12, "drift: 'a' 23.8% → 0.0%")


def test_remarks_are_shown_one_a_line_whatever_the_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome(stage="deployed", name="kitchen", remarks=REMARKS)
    show_outcome(outcome, home=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("2 remarks:")
    assert [line.strip() for line in lines[at + 1 : at + 3]] == [f"• {one.strip()}" for one in REMARKS]
    assert final_state(outcome).message.startswith("every gate passed; remarks: labels: a long")


def test_printed_paths_and_commands_can_be_pasted_into_a_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "blanks ü #1" / ".headgate"
    page = str(home / "reports" / "quality.html")
    outcome = Outcome(stage="deployed", name="kitchen", pages={"Data quality": page})
    show_outcome(outcome, home=home)
    shown = capsys.readouterr().out
    words = [word for line in shown.splitlines() if ".headgate" in line for word in shlex.split(line)]
    assert str(Path(page).relative_to(tmp_path)) in words and f"PREFECT_HOME={home / 'prefect'}" in words
    assert str(home) in words  # after --home


ROW = {
    "subject": "emotions vs bag of words",
    "metric": "macro_f1",
    "shared": "0.863",
    "baseline": "0.865",
    "difference": "-0.003 [-0.008, +0.003]",
    "margin": "≤ 2,048 MiB",
    "verdict": "inconclusive",
}


@pytest.mark.parametrize("columns", [72, 80, 140])
def test_the_verdict_table_fits_the_terminal(columns: int) -> None:
    console = Console(width=columns, file=io.StringIO(), force_terminal=True, color_system=None)
    rows = [ROW, {**ROW, "subject": "threads", "metric": "–", "baseline": "–", "difference": "–"}]
    console.print(verdict_table(rows, columns))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, shown.splitlines())) <= columns
    for cell in ("0.863", "0.865", "-0.003", "[-0.008, +0.003]", "inconclusive", "macro_f1"):
        assert cell in shown, f"{cell} is cut:\n{shown}"


def test_the_verdict_table_fits_a_log_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {**ROW, "subject": "peak memory of the endpoint", "shared": "1,234 MiB", "baseline": "1,234 MiB"}
    outcome = Outcome(stage="model_rejected", name="kitchen", rows=(ROW, long))
    show_outcome(outcome, home=tmp_path)
    table = capsys.readouterr().out.partition("Rejected")[0]
    assert "1,234 MiB" in table and "inconclusive" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize("columns", [60, 80])
def test_a_long_command_is_shown_on_lines_that_a_shell_takes_as_one(columns: int) -> None:
    console = Console(width=columns, file=io.StringIO(), force_terminal=True)
    command = (
        "A=1 '/a b/prefect' server start --home /srv/a/long/way/down --override \"why not\" --expires 7d"
    )
    lines = pasted_lines(command, columns, console)
    assert len(lines) > 1 and max(map(len, lines)) <= columns
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(command)
    assert pasted_lines(command, columns, Console(file=io.StringIO())) == [command], "a log is one line each"


def test_checks_without_a_figure_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = dict.fromkeys(("metric", "shared", "baseline", "difference", "margin"), "–")
    rows = [{"subject": one, **plain, "verdict": "pass"} for one in ("threads", "timed bundles")]
    failed = {"subject": "evidence", **plain, "verdict": "fail"}
    show_outcome(Outcome(stage="model_rejected", name="kitchen", rows=(ROW, *rows, failed)), home=tmp_path)
    shown = capsys.readouterr().out
    assert "Also passed, without a figure: threads, timed bundles." in shown
    assert shown.count("threads") == 1 and "evidence" in shown


def test_states_of_different_meaning_have_different_names() -> None:
    names = {stage: state_name(stage) for stage in STAGES}
    assert set(names) == set(CODES)
    # Rejected is rejected, and gone back is gone back: by a person, or because it broke a bound.
    alike = ("data_rejected", "model_rejected", "taken_back")
    assert len({names[stage] for stage in STAGES if stage not in alike}) == len(STAGES) - len(alike)
    assert names["taken_back"] == names["rolled_back"]


@pytest.mark.parametrize("kind", get_args(ErrorKind))
def test_every_kind_of_error_has_an_exit_code(kind: ErrorKind) -> None:
    class Foreseen(HeadgateError):
        pass

    Foreseen.kind = kind
    assert foreseen(Foreseen("x")) == kind
    assert exit_codes.of_error(kind) == {"usage": 2, "data": 3, "other": 1}[kind]


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    assert foreseen(KeyError("x")) is None and foreseen("no error") is None
    assert foreseen(OSError(28, "no space left")) == "other"
