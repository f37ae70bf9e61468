"""What a person sees in the terminal: the verdict table, what happened, where to look next.

Knows rich and the outcome values; does not decide anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.cli.options import for_shell, json_wanted, program
from flows.cli.shown import status as shown_status
from flows.outcome import Outcome, Stage
from flows.state_folder import home_option, with_home
from model.bundle.telemetry import quiet_command
from report.verdict_table import ABSENT, table_and_line
from serving.shown import one_line, several_lines

STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}
"""Colour of a verdict; the word is always printed too."""

UNWRAPPED_COLUMNS = 140
"""Width of output that is no terminal."""

NARROWEST = {"Subject": 12, "Margin": 7}
"""Heading of a column that may be wrapped → its least width, so that no word is cut."""

PLAIN_COLUMNS = 80
"""Width of the verdict table where the output is no terminal: log files are read on one."""


def run_and_show(which: str, what: str, *, home: Path, **arguments: Any) -> int:
    """Run the flow `which` on `what`, with its `arguments`, here; show what came of it, give the exit code.

    Broken configuration or data is shown in a few lines; anything else keeps its traceback.
    """
    from flows.cli.as_json import json_line, outcome_json
    from flows.cli.running import run_flow

    console = Console(stderr=True)
    begins = Text.assemble(
        (f"headgate {which}", "bold"), one_line(f" {for_shell(what)}, state in {for_shell(home)}")
    )
    console.print(begins, highlight=False, soft_wrap=True)
    outcome = run_flow(which, home=home, console=console, **arguments)
    if isinstance(outcome, int):
        return outcome
    if json_wanted():
        from flows.ending import state_name

        click.echo(json_line(outcome_json(outcome, state_name(outcome.stage))))
    else:
        show_outcome(outcome, home=home)
    return outcome.exit_code


def show_outcome(outcome: Outcome, *, home: Path) -> None:
    """The verdict table, then what was registered and deployed, then how to look at it."""
    console = _output()
    if outcome.rows:
        console.print()
        columns = console.width if console.is_terminal else PLAIN_COLUMNS
        rows, line = table_and_line(outcome.rows)
        if rows:
            console.print(verdict_table(rows, columns), width=columns)
        if line:
            console.print(Text(one_line(line)), width=columns)
    console.print()
    console.print(_headline(outcome))
    if outcome.stage != "deployed" or not outcome.sentence:  # else the sentence says what was seen
        _listed(console, [with_home(reason, home) for reason in outcome.reasons])
    if outcome.paste:
        console.print("\nIf that is meant, this in the configuration consents to it:\n")
        # As it is: a line that is wrapped or indented otherwise could not be pasted.
        console.print(Text(several_lines(outcome.paste)), soft_wrap=True)
    if outcome.remarks:
        console.print(f"\n{len(outcome.remarks)} {'remark' if len(outcome.remarks) == 1 else 'remarks'}:")
        _listed(console, [with_home(remark, home) for remark in outcome.remarks])
    facts = [*_facts(outcome), *((title, for_shell(near(path))) for title, path in outcome.pages.items())]
    if outcome.registered:
        store = outcome.registered["tracking_uri"]
        run = f"/{outcome.registered.get('page', '')}"
        if store.startswith("http"):
            facts.append(("MLflow", f"{store.rstrip('/')}{run}"))
        else:
            show = f"{program('mlflow')} ui --backend-store-uri {for_shell(store)}"
            facts.append(("MLflow", quiet_command("mlflow", show)))
            facts.append(("  then", f"{LOCAL_MLFLOW}{run}"))
    start = quiet_command("prefect", f"{program('prefect')} server start")
    facts.append(("Prefect", f"PREFECT_HOME={for_shell(home / 'prefect')} {start}"))
    headgate, where = program("headgate"), home_option(home, outcome.name)
    if outcome.stage == "deployed":
        facts.append(("Try it", f'{headgate} predict {outcome.name} "some text"{where}'))
    if outcome.undecided and outcome.registered:
        version = f"{outcome.name} {outcome.registered['version']}"
        facts.append(("Judge again", f"{headgate} judge {version}{where}"))
        facts.append(("Override", f'{headgate} promote {version} --override "why" --expires 7d{where}'))
    width = max(len(title) for title, _ in facts)
    console.print()
    for title, value in facts:
        for number, line in enumerate(pasted_lines(one_line(value), console.width - width - 4, console)):
            console.print(Text(f"  {'' if number else title:<{width}}  {line}"), soft_wrap=True)
    console.print(f"\n  {outcome.seconds:.0f} s in all, exit code {outcome.exit_code}")


def _listed(console: Console, sentences: Sequence[str]) -> None:
    """One bullet a sentence: wrapped under itself on a terminal, on one line elsewhere."""
    for sentence in sentences:
        if console.is_terminal:
            bullet = Table.grid(padding=(0, 1, 0, 0))
            bullet.add_column(no_wrap=True)
            bullet.add_column(overflow="fold")
            bullet.add_row("  •", Text(one_line(sentence)))
            console.print(bullet)
        else:
            console.print(Text(one_line(f"  • {sentence}")), soft_wrap=True)


LOCAL_MLFLOW = "http://127.0.0.1:5000"
"""Where `mlflow ui` answers."""


def near(path: str) -> str:
    """A path as seen from here, if it lies below; else as it is."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def pasted_lines(command: str, columns: int, console: Console) -> list[str]:
    """A command for the shell on lines of at most so many columns where it is shown on a terminal, each but
    the last ending in a backslash; a word that is longer keeps a line of its own."""
    if not console.is_terminal or len(command) <= columns:
        return [command]
    words = re.findall(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""", command)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 <= columns:
            lines[-1] += f" {word}"
        else:
            lines.append(f"  {word}")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _headline(outcome: Outcome) -> Text:
    word, why, style = headline(outcome.stage)
    return Text.assemble((word, style), one_line(f"  {outcome.name}: {outcome.sentence or why}"))


def headline(stage: Stage) -> tuple[str, str, str]:
    """(Word, sentence, style) for a flow that came so far."""
    good, bad = "bold green", "bold red"
    match stage:
        case "deployed":
            return "Deployed", "every gate passed", good
        case "unchanged":
            return "Unchanged", "there was nothing to do; nothing was trained", good
        case "busy":
            return "Busy", "another run of this project is at work; nothing was done", bad
        case "validated":
            return "Data accepted", "nothing critical was found", good
        case "swept":
            return "Swept", "the weights with the best mean of the heads are", good
        case "rolled_back":
            return "Rolled back", "the former version serves again", good
        case "taken_back":
            return "Rolled back", "it was watched and taken back; the former version serves again", bad
        case "data_rejected":
            return "Rejected", "the data gate failed; nothing was trained", bad
        case "needs_consent":
            return "Needs consent", "clients would lose something; nothing was trained", bad
        case "model_rejected":
            return "Rejected", "a gate did not pass; the champion stays", bad
        case "deployment_undone":
            return "Undone", "the endpoint did not answer as judged; the former version serves again", bad
        case "unconfirmed":
            return "Unconfirmed", "what serves could not be confirmed; nothing was withdrawn", bad
        case "held":
            return "Held", "every gate passed, but it was compared with another champion than serves", bad
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


def verdict_table(rows: Sequence[Mapping[str, Any]], columns: int) -> Table:
    """Rows of `report.verdict_table` as a table whose figures are aligned.

    Args:
        columns: width that there is. Where the rows are longer, each takes two lines: the metric stands under
            the subject, the other model under the shared one, the bounds under the difference.
    """
    wide = _table([key.capitalize() for key in rows[0]], [list(map(str, row.values())) for row in rows])
    if Console(width=10 * columns).measure(wide).maximum <= columns:
        return wide
    headings = ["Subject\n  metric", "Shared\nbaseline", "Difference\n[lower, upper]", "Margin", "Verdict"]
    return _table(headings, list(map(_two_lines, rows)))


def _two_lines(row: Mapping[str, Any]) -> list[str]:
    """A row in five cells of one or two lines."""
    subject = row["subject"] if row["metric"] == ABSENT else f"{row['subject']}\n  {row['metric']}"
    models = row["shared"] if row["baseline"] == ABSENT else f"{row['shared']}\n{row['baseline']}"
    return [
        subject,
        models,
        row["difference"].replace(" [", "\n["),
        row["margin"].replace(" (", "\n("),
        row["verdict"],
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title="Release verdict", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.pad_edge = False
    for heading in headings:
        first = heading.split("\n")[0]
        table.add_column(
            Text(heading),
            justify="left" if first in ("Subject", "Metric", "Verdict") else "right",
            overflow="fold",
            no_wrap=first not in NARROWEST,
            min_width=NARROWEST.get(first),
        )
    for cells in rows:
        table.add_row(*(Text(several_lines(cell), style=STYLES.get(cell, "")) for cell in cells))
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
        shown = one_line(text if len(text) <= 60 else text[:57] + "…")
        for head, answered in answer.items():
            labels = ", ".join(f"{item['label']} {item['probability']:.2f}" for item in answered["labels"])
            table.add_row(*map(Text, (shown, one_line(head), one_line(labels or "none applies"))))
            shown = ""
        table.add_section()
    _output().print(table)


def show_status(report: Mapping[str, Any]) -> None:
    """What serves and how it came about, one block a project."""
    shown_status.show_status(report, _output())
