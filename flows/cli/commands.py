"""The command line: `headgate COMMAND`.

Thin: reads the configuration, prepares the state folder, runs a flow or asks the endpoint, prints, and
ends with an exit code that a scheduler can act on. Heavy libraries are imported by the command that
needs them, so that `--help` and `predict` answer at once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flows.cli import exit_codes
from flows.state_folder import config_home, existing_home, prepare
from model.errors import foreseen, told

if TYPE_CHECKING:
    from release.targets.deploy import DeployOutcome

_HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="State folder. Default: HEADGATE_HOME, else .headgate next to the configuration.",
)
_BACKBONE = click.option("--backbone", help="Another encoder: a hub name, a folder, or `offline`.")
_CONFIG = click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
_NAME = click.argument("name")


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"headgate: {message}", err=True)
    raise SystemExit(code)


@contextlib.contextmanager
def _errors_shown() -> Iterator[None]:
    """Show a foreseen error in its own words and end with its exit code; others keep their traceback."""
    try:
        yield
    except Exception as error:
        kind = foreseen(error)
        if kind is None:
            raise
        _fail(told(error), exit_codes.of_error(kind))


def _example(text: str) -> dict[str, Any]:
    return {"epilog": f"\b\nExample:\n  {text}"}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="headgate", prog_name="headgate")
def main() -> None:
    """Retrain one multi-head text encoder; deploy it only if its gates pass.

    \b
    Exit codes: 0 deployed or done, 2 wrong usage or configuration, 3 data rejected,
    4 model rejected or inconclusive, 1 anything else.
    """


@main.command(**_example("headgate retrain configs/quickstart.yaml"))
@_CONFIG
@_HOME
@_BACKBONE
def retrain(config: Path, home: Path | None, backbone: str | None) -> None:
    """Merge, validate, train, gate, register and deploy the project of CONFIG."""
    _run_flow("retrain", config, home, backbone)


@main.command(**_example("headgate validate configs/feelings.yaml"))
@_CONFIG
@_HOME
@_BACKBONE
def validate(config: Path, home: Path | None, backbone: str | None) -> None:
    """Merge and judge the data of CONFIG and write its report; train nothing."""
    _run_flow("validate", config, home, backbone)


@main.command(**_example("headgate sweep configs/two_label_sets.yaml --backbone offline"))
@_CONFIG
@_HOME
@_BACKBONE
@click.option("--points", type=click.IntRange(2, 50), default=5, help="Values of π for a head; default 5.")
def sweep(config: Path, home: Path | None, backbone: str | None, points: int) -> None:
    """Train CONFIG with a grid of loss weights of its heads and draw the trade-off; deploy nothing."""
    _run_flow("sweep", config, home, backbone, points=points)


def _run_flow(which: str, config: Path, home: Path | None, backbone: str | None, **options: Any) -> None:
    from flows.config.load import load_project

    with _errors_shown():
        load_project(config, backbone=backbone)  # cheap: before any server is started
        folder = config_home(config, home)
        prepare(folder, on_console=True)
        from flows.cli.console import run_and_show

        options |= {"config": config, "backbone": backbone}
        raise SystemExit(run_and_show(which, config.name, home=folder, **options))


@main.command(**_example("headgate judge quickstart 7"))
@_NAME
@click.argument("version", type=click.IntRange(min=1))
@_HOME
def judge(name: str, version: int, home: Path | None) -> None:
    """Time and judge the registered VERSION of NAME again, without training; deploy it if it passes.

    For a candidate whose timings a busy machine kept from deciding. It is judged by the gates that it was
    registered with, beside the champion of now.
    """
    with _errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from flows.cli.console import run_and_show

        what = f"{name} version {version}"
        raise SystemExit(run_and_show("judge", what, home=folder, name=name, version=version))


@main.command(**_example('headgate predict quickstart "The blender broke after a week, I am furious."'))
@_NAME
@click.argument("texts", nargs=-1, required=True)
@_HOME
@click.option("--json", "as_json", is_flag=True, help="The endpoint's reply as it is.")
def predict(name: str, texts: tuple[str, ...], home: Path | None, as_json: bool) -> None:
    """Ask the endpoint of NAME about one or more TEXTS."""
    from flows.cli.console import show_answers
    from release.targets.endpoint import ask

    with _errors_shown():
        reply = ask(existing_home(home, name), name, list(texts))
    if as_json:
        click.echo(json.dumps(reply, ensure_ascii=False))
    else:
        show_answers(texts, reply)


@main.command(**_example("headgate serve quickstart"))
@_NAME
@_HOME
@click.option("--port", type=int, help="Default: the port it was last deployed with.")
def serve(name: str, home: Path | None, port: int | None) -> None:
    """Start the endpoint of NAME in the background; it serves the current champion."""
    from release.targets.endpoint import start

    with _errors_shown():
        address = start(existing_home(home, name), name, port=port)
    click.echo(f"{name} serves at {address}  (stop it with: headgate stop {name})")


@main.command(**_example("headgate stop quickstart"))
@_NAME
@_HOME
def stop(name: str, home: Path | None) -> None:
    """Stop the endpoint of NAME; requests in flight are answered first."""
    from release.targets.endpoint import stop as stop_endpoint

    with _errors_shown():
        stopped = stop_endpoint(existing_home(home, name), name)
    click.echo(f"{name}: stopped" if stopped else f"{name}: was not running")


@main.command(**_example("headgate status"))
@click.argument("name", required=False)
@_HOME
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(name: str | None, home: Path | None, as_json: bool) -> None:
    """What serves, what is registered, and how it came about; for one NAME or all."""
    from flows.cli.console import show_status
    from release.status import read_status

    with _errors_shown():
        report = read_status(existing_home(home, name), name)
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        show_status(report)
    if any(project["damage"] for project in report["projects"]):
        raise SystemExit(exit_codes.FAILED)


@main.command(**_example("headgate rollback quickstart --to 3"))
@_NAME
@_HOME
@click.option("--to", "version", type=int, help="Version to go back to. Default: the former champion.")
def rollback(name: str, home: Path | None, version: int | None) -> None:
    """Make the former champion (or --to VERSION) of NAME serve again, through the same verification."""
    with _errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from release.home import Home
        from release.moves.rollback import roll_back

        done = roll_back(Home(folder), name, version)
    _fail_unless_deployed(name, done)
    click.echo(f"{name}: version {done.serving} serves again" + (f" at {done.url}" if done.url else ""))


@main.command(**_example('headgate promote quickstart 7 --override "launch demo" --expires 12h'))
@_NAME
@click.argument("version", type=click.IntRange(min=1))
@click.option("--override", "reason", help="Why a version that did not pass is to serve nevertheless.")
@click.option("--expires", default="7d", show_default=True, help="How long an override holds: 30m, 12h, 7d.")
@_HOME
def promote(name: str, version: int, reason: str | None, expires: str, home: Path | None) -> None:
    """Make the registered VERSION of NAME serve: one that passed, or, with --override, one that did not.

    An override is signed, shown in status, report and /version, and expires: then the version that passed
    last serves again.
    """
    with _errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from flows.cli.override import show_override
        from release.home import Home
        from release.moves.promote_by_hand import promote_by_hand

        done = promote_by_hand(Home(folder), name, version, reason=reason, expires=expires)
        if done.override is not None:
            show_override(Home(folder), done.run, done.override)
    _fail_unless_deployed(name, done.outcome)
    how = f" by an override that ends in {expires}" if done.override is not None else ""
    click.echo(f"{name}: version {done.outcome.serving} serves{how} at {done.outcome.url}")


@main.command(**_example("headgate follow quickstart --home /srv/replica --tracking-uri http://mlflow:5000"))
@_NAME
@_HOME
@click.option("--tracking-uri", help="Registry. Default: the one of the last deployment here.")
@click.option("--model", help="Registered model. Default: the project's name.")
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key that releases must be signed with (PEM). Default: the one in the state folder.",
)
@click.option("--interval", type=click.FloatRange(min=0.1), default=5.0, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once; exit code 0 if the folder is equal.")
def follow(
    name: str,
    home: Path | None,
    tracking_uri: str | None,
    model: str | None,
    public_key: Path | None,
    interval: float,
    once: bool,
) -> None:
    """Keep a release folder equal to the registry's champion of NAME, until SIGTERM or Ctrl-C."""
    with _errors_shown():
        folder = (home or Path(".headgate")).resolve()
        prepare(folder, on_console=True)
        from flows.cli.following import run_follower
        from release.home import Home
        from release.targets.follower import FollowJob, followed_registry

        job = FollowJob(
            home=Home(folder),
            name=name,
            registry=followed_registry(Home(folder), name, tracking_uri, model),
            public_key=public_key,
            interval_s=interval,
        )
        raise SystemExit(run_follower(job, once=once))


@main.command(**_example("headgate schema > configs/schema.json"))
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from flows.config.load import json_schema

    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


def _fail_unless_deployed(name: str, done: DeployOutcome) -> None:
    if not done.deployed:
        _fail(f"{name}: {done.reason}; version {done.serving or 'none'} serves", exit_codes.FAILED)


if __name__ == "__main__":
    main()
