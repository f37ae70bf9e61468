"""The command `headgate check CONFIG`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli import exit_codes
from flows.cli.options import HOME, SET, errors_shown, example
from serving.shown import one_line

if TYPE_CHECKING:
    from flows.check.finding import Finding
    from flows.config.schema import Project

COLUMNS = 80
WIDEST = 30
"""Columns that the names of what was looked at take at most."""
_STYLES = {"ok": "green", "remark": "yellow", "problem": "red"}


@click.command(epilog=example("headgate check configs/quickstart.yaml")["epilog"])
@click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
@HOME
@SET
@click.option("--backbone", help="Another encoder: a hub name, a folder, or `offline`.")
def check(config: Path, home: Path | None, backbone: str | None) -> None:
    """Look whether CONFIG could run: files, columns, encoder, port, registry, disk, memory, time.

    \b
    Starts nothing and writes nothing.
    Exit codes: 0 it could; else those of a run, 2 where there is more than one reason.
    """
    with errors_shown():
        from flows.check.finding import Finding, not_ready
        from flows.check.ready import look
        from flows.config.load import load_project
        from flows.state_folder import config_home

        project = load_project(config, backbone=backbone)
        found = look(project, config.resolve().parent, config_home(config, home))
        found.insert(0, Finding(what="configuration", says=_size_of(project)))
        _show(found)
        problems = [one for one in found if one.state == "problem"]
    if problems:
        click.echo(f"\n{len(problems)} {'problems' if len(problems) > 1 else 'problem'}")
        raise SystemExit(exit_codes.of_error(not_ready(problems).kind))
    click.echo("\nready: nothing stands in the way of a run")


def _size_of(project: Project) -> str:
    heads, sources = len(project.heads), len(project.sources)
    return f"{heads} head{'s'[: heads != 1]}, {sources} source{'s'[: sources != 1]}"


def _show(found: Sequence[Finding]) -> None:
    """One line each; what is longer stands below it."""
    width = min(WIDEST, max(len(one.what) for one in found))
    for one in found:
        mark, what = click.style(f"{one.state:<8}", fg=_STYLES[one.state]), one_line(f"{one.what:<{width}}")
        lines = textwrap.wrap(one_line(one.says), COLUMNS - 8, break_long_words=False, break_on_hyphens=False)
        if len(lines) == 1 and len(what) + len(lines[0]) + 10 <= COLUMNS:
            click.echo(f"{mark}{what}  {lines[0]}")
            continue
        click.echo(f"{mark}{what.rstrip()}")
        for line in lines:
            click.echo(f"{'':<8}{line}")
