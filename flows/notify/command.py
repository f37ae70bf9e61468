"""`headgate notify-test`: whether everybody who is to be told can be."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli import exit_codes
from flows.cli.options import CONFIG, HOME, SET, errors_shown, example
from flows.state_folder import config_home, prepare
from serving.shown import one_line


@click.command("notify-test", epilog=example("headgate notify-test configs/quickstart.yaml")["epilog"])
@CONFIG
@HOME
@SET
def notify_test(config: Path, home: Path | None) -> None:
    """Send a message to every address that `notify` of CONFIG names, and say what became of each."""
    from flows.config.load import load_project

    with errors_shown():
        project = load_project(config)
        folder = config_home(config, home)
        prepare(folder, on_console=True)
        from flows.notify.trial import deliver_trial
        from release.home import Home

        found = deliver_trial(Home(folder), project, config)
    if not found:
        click.echo(f"{project.name}: `notify` names nobody; nothing was sent")
        return
    for one in found:
        click.echo(one_line(f"{one.place}: " + ("delivered" if one.ok else f"NOT delivered: {one.why}")))
    if not all(one.ok for one in found):
        raise SystemExit(exit_codes.FAILED)
