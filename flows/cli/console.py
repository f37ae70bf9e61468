"""What a person sees in the terminal: the verdict table, what happened, where to look next.

Knows rich and the outcome values; does not decide anything.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.outcome import Outcome, Stage
from flows.state_folder import NoHome, existing_home

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
"""Colour of a verdict; the word is always printed too."""

UNWRAPPED_COLUMNS = 140
"""Width of output that is no terminal."""


def run_and_show(which: str, what: str, *, home: Path, **arguments: Any) -> int:
    """Run the flow `which` on `what`, with its `arguments`, here; show what came of it, give the exit code.

    Broken configuration or data is shown in a few lines; anything else keeps its traceback.
    """
    from flows.cli.running import run_flow

    console = Console(stderr=True)
    console.print(f"[bold]headgate {which}[/] {what}, state in {home}", highlight=False)
    outcome = run_flow(which, home=home, console=console, **arguments)
    if isinstance(outcome, int):
        return outcome
    show_outcome(outcome, home=home)
    return outcome.exit_code


def show_outcome(outcome: Outcome, *, home: Path) -> None:
    """The verdict table, then what was registered and deployed, then how to look at it."""
    console = _output()
    if outcome.rows:
        console.print()
        console.print(verdict_table(outcome.rows))
    console.print()
    console.print(_headline(outcome))
    for reason in outcome.reasons:
        console.print(Text(f"  • {reason}"), soft_wrap=True)
    facts = [*_facts(outcome), *((title, path) for title, path in outcome.pages.items())]
    if outcome.registered:
        store = outcome.registered["tracking_uri"]
        facts.append(("MLflow", f"{_program('mlflow')} ui --backend-store-uri {store}"))
    facts.append(("Prefect", f"PREFECT_HOME={home / 'prefect'} {_program('prefect')} server start"))
    if outcome.stage == "deployed":
        facts.append(
            ("Try it", f'{_program("headgate")} predict {outcome.name} "some text"{_where(home, outcome)}')
        )
    width = max(len(title) for title, _ in facts)
    console.print()
    for title, value in facts:
        console.print(Text(f"  {title:<{width}}  {value}"), soft_wrap=True)
    console.print(f"\n  {outcome.seconds:.0f} s in all, exit code {outcome.exit_code}")


def _program(name: str) -> str:
    """How to call a program of this environment from here."""
    beside = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return name if found is not None and Path(found) == beside else os.path.relpath(beside)


def _where(home: Path, outcome: Outcome) -> str:
    """` --home …`, where a command would not find the state folder by itself."""
    try:
        return "" if existing_home(None, outcome.name) == home else f" --home {home}"
    except NoHome:
        return f" --home {home}"


def _headline(outcome: Outcome) -> Text:
    word, why, style = headline(outcome.stage)
    return Text.assemble((word, style), f"  {outcome.name}: {why}")


def headline(stage: Stage) -> tuple[str, str, str]:
    """(Word, sentence, style) for a flow that came so far."""
    good, bad = "bold green", "bold red"
    match stage:
        case "deployed":
            return "Deployed", "every gate passed", good
        case "validated":
            return "Data accepted", "nothing critical was found", good
        case "swept":
            return "Swept", "the weights with the best mean of the heads are", good
        case "rolled_back":
            return "Rolled back", "the former version serves again", good
        case "data_rejected":
            return "Rejected", "the data gate failed; nothing was trained", bad
        case "model_rejected":
            return "Rejected", "a gate did not pass; the champion stays", bad
        case "deployment_undone":
            return "Undone", "the endpoint did not answer as judged; the alias went back", bad
        case _:
            assert_never(stage)


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    facts = []
    if outcome.registered:
        facts.append(
            (
                "Registered",
                f"{outcome.name} version {outcome.registered['version']}, run {outcome.registered['run_id']}",
            )
        )
    if outcome.deployed:
        facts.append(("Deployed", f"version {outcome.deployed['version']} at {outcome.deployed['url']}"))
    return facts


def verdict_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows of `report.verdict_table` as a table whose figures are aligned."""
    table = Table(title="Release verdict", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in rows[0]:
        words = column in ("subject", "metric", "verdict")
        table.add_column(column.capitalize(), justify="left" if words else "right", overflow="fold")
    for row in rows:
        cells = (str(cell) for cell in row.values())
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    return table


def _output() -> Console:
    """Standard output; wide where it is a file, which has no edge to wrap at."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=UNWRAPPED_COLUMNS)


def show_answers(texts: Sequence[str], reply: Mapping[str, Any]) -> None:
    """The endpoint's answers as a table: one line a text and head."""
    table = Table(
        header_style="bold", title=f"{reply['name']} version {reply['version']}", title_justify="left"
    )
    for column in ("Text", "Head", "Labels"):
        table.add_column(column, overflow="fold")
    for text, answer in zip(texts, reply["answers"], strict=True):
        shown = text if len(text) <= 60 else text[:57] + "…"
        for head, answered in answer.items():
            labels = ", ".join(f"{item['label']} {item['probability']:.2f}" for item in answered["labels"])
            table.add_row(Text(shown), Text(head), Text(labels or "none applies"))
            shown = ""
        table.add_section()
    _output().print(table)


def show_status(report: Mapping[str, Any]) -> None:
    """What serves and how it came about, one block a project."""
    console = _output()
    for project in report["projects"]:
        endpoint = project["endpoint"]
        console.print(Text(project["name"], style="bold"))
        for title in ("champion", "previous"):
            console.print(Text(f"  {title:<10} {project[title] or 'none'}"))
        console.print(Text(f"  {'endpoint':<10} {endpoint['says']}"))
        history = Table("When (UTC)", "What", "Version", "Detail", header_style="bold", title_justify="left")
        for entry in project["history"]:
            history.add_row(*(Text(str(entry[key])) for key in ("at", "event", "version", "detail")))
        console.print(history)
