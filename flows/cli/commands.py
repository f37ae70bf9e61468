"""The command line: `headgate COMMAND`.

Thin: reads the configuration, prepares the state folder, runs a flow or asks the endpoint, prints, and
ends with an exit code that a scheduler can act on. Heavy libraries are imported by the command that
needs them, so that `--help` and `predict` answer at once.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.check.command import check
from flows.cli import exit_codes
from flows.cli.help import WholeSentences
from flows.cli.keeping import clean
from flows.cli.keys import keys
from flows.cli.options import CONFIG, HOME, JSON, NAME, SET, errors_shown, example, fail
from flows.export.command import export
from flows.init.command import init
from flows.notify.command import notify_test
from flows.state_folder import config_home, existing_home, home_option, prepare
from flows.up.commands import schedule, up
from model.bundle.masking import mask_process, masked
from model.bundle.telemetry import telemetry_off
from model.errors import HeadgateError, told
from serving.shown import several_lines

if TYPE_CHECKING:
    from release.targets.deploy import DeployOutcome

_STATE = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the endpoint's state and log, where the state folder can't be written.",
)
_BACKBONE = click.option("--backbone", help="Another encoder: a hub name, a folder, or `offline`.")
_NUMBER = click.IntRange(min=1, max=2**31 - 1)
"""A registered version; no registry holds larger numbers."""


@click.group(
    cls=WholeSentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="headgate", prog_name="headgate")
def main() -> None:
    """Retrain one multi-head text encoder; deploy it only if its gates pass.

    \b
    Exit codes: 0 deployed or done, 2 wrong usage or configuration, 3 data rejected,
    4 model rejected, inconclusive or in need of consent, 5 busy with another run,
    6 deployed, watched and taken back, 1 anything else.
    """
    telemetry_off()
    mask_process()


@main.command(**example("headgate retrain configs/quickstart.yaml"))
@CONFIG
@HOME
@SET
@JSON
@_BACKBONE
@click.option("--force", is_flag=True, help="Train also where nothing changed since the champion.")
def retrain(config: Path, home: Path | None, backbone: str | None, force: bool) -> None:
    """Merge, validate, train, gate, register and deploy the project of CONFIG.

    Where data, configuration, backbone, code and dependencies are those of the champion there is nothing to
    do, and where they are those of a candidate that did not pass, the run ends as that one did.
    """
    _run_flow("retrain", config, home, backbone, force=force)


@main.command(**example("headgate validate configs/feelings.yaml"))
@CONFIG
@HOME
@SET
@JSON
@_BACKBONE
def validate(config: Path, home: Path | None, backbone: str | None) -> None:
    """Merge and judge the data of CONFIG and write its report; train nothing."""
    _run_flow("validate", config, home, backbone)


@main.command(**example("headgate sweep configs/two_label_sets.yaml --backbone offline"))
@CONFIG
@HOME
@SET
@_BACKBONE
@click.option("--points", type=click.IntRange(2, 50), default=5, help="Values of π for a head; default 5.")
def sweep(config: Path, home: Path | None, backbone: str | None, points: int) -> None:
    """Train CONFIG with a grid of loss weights of its heads and draw the trade-off; deploy nothing."""
    _run_flow("sweep", config, home, backbone, points=points)


def _run_flow(which: str, config: Path, home: Path | None, backbone: str | None, **options: Any) -> None:
    from flows.check.ready import refuse_unready
    from flows.config.load import load_project

    with errors_shown():
        folder = config_home(config, home)
        try:
            project = load_project(config, backbone=backbone)  # cheap: before any server is started
            prepare(folder, on_console=True)
            refuse_unready(project, config, folder, deploys=which == "retrain")
        except HeadgateError as error:
            _not_begun(which, config, folder, error)
            raise
        from flows.cli.console import run_and_show

        options |= {"config": config, "backbone": backbone}
        raise SystemExit(run_and_show(which, config.name, home=folder, **options))


def _not_begun(which: str, config: Path, folder: Path, error: HeadgateError) -> None:
    """Note and tell of a run that was refused before it had a flow: nobody may be watching."""
    if not folder.is_dir():
        return  # nothing ran here before, so nobody is known who is to be told
    with contextlib.suppress(HeadgateError, OSError):
        prepare(folder, on_console=True)
        from flows.parts.end import run_lost

        run_lost(which, {"config": config, "home": folder}, " ".join(told(error).split()), "Failed")


@main.command(**example("headgate judge quickstart 7"))
@NAME
@click.argument("version", type=_NUMBER)
@HOME
def judge(name: str, version: int, home: Path | None) -> None:
    """Time and judge the registered VERSION of NAME again, without training; deploy it if it passes.

    For a candidate whose timings a busy machine kept from deciding. It is judged by the gates that it was
    registered with, beside the champion of now.
    """
    with errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from flows.cli.console import run_and_show

        what = f"{name} version {version}"
        raise SystemExit(run_and_show("judge", what, home=folder, name=name, version=version))


@main.command(**example('headgate predict quickstart "The blender broke after a week, I am furious."'))
@NAME
@click.argument("texts", nargs=-1)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one text a line; may be given several times.",
)
@HOME
@_STATE
@click.option("--json", "as_json", is_flag=True, help="The endpoint's replies, one a line (docs/json.md).")
def predict(
    name: str,
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    home: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Ask the endpoint of NAME about TEXTS, files of texts or, with `-`, the lines of standard input."""
    from flows.cli.console import show_answers
    from flows.cli.texts import given_texts, in_batches
    from release.targets.endpoint import ask

    with errors_shown():
        for batch in in_batches(given_texts(texts, files)):
            reply = ask(existing_home(home, name), name, batch, state=state)
            if as_json:
                click.echo(json.dumps(reply, ensure_ascii=False))
            else:
                show_answers(batch, reply)


@main.command(**example("headgate serve quickstart"))
@NAME
@HOME
@_STATE
@click.option("--port", type=int, help="Default: the port it was last deployed with.")
def serve(name: str, home: Path | None, state: Path | None, port: int | None) -> None:
    """Start the endpoint of NAME in the background; it serves the current champion."""
    from release.home import Home
    from release.keys import unable_to_sign
    from release.targets.endpoint import start

    with errors_shown():
        folder = existing_home(home, name)
        address = start(folder, name, port=port, state=state)
        problem = unable_to_sign(Home(folder), name) if state is None else ""
    if problem:
        click.echo(masked(f"it serves, but nothing can be signed or moved here: {problem}"), err=True)
    place = "" if state is None else f" --state {state}"
    click.echo(f"{name} serves at {address}  (stop it with: headgate stop {name}{place})")


@main.command(**example("headgate stop quickstart"))
@NAME
@HOME
@_STATE
def stop(name: str, home: Path | None, state: Path | None) -> None:
    """Stop the endpoint of NAME; requests in flight are answered first."""
    from release.targets.endpoint import stop as stop_endpoint

    with errors_shown():
        stopped = stop_endpoint(existing_home(home, name), name, state=state)
    click.echo(f"{name}: stopped" if stopped else f"{name}: was not running")


@main.command(**example("headgate status"))
@click.argument("name", required=False)
@HOME
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(name: str | None, home: Path | None, as_json: bool) -> None:
    """What serves, what is registered, when it runs next, and how it came about; for one NAME or all."""
    from flows.cli.console import show_status
    from flows.schedule.past_and_next import with_runs
    from release.status import read_status

    with errors_shown():
        folder = existing_home(home, name)
        report = with_runs(read_status(folder, name, where=home_option(folder, name)))
    if as_json:
        click.echo(masked(json.dumps(report, indent=1)))
    else:
        show_status(report)
    if any(project["damage"] for project in report["projects"]):
        raise SystemExit(exit_codes.FAILED)


@main.command(**example("headgate rollback quickstart --to 3"))
@NAME
@HOME
@click.option("--to", "version", type=_NUMBER, help="Version to go back to. Default: the former champion.")
@click.option("--reason", default="", help="Why, for the journal, which also notes who did it.")
def rollback(name: str, home: Path | None, version: int | None, reason: str) -> None:
    """Make the former champion (or --to VERSION) of NAME serve again, through the same verification.

    Says first what clients lose and gain.
    """
    with errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from flows.notify.ending import told_rollback
        from release.home import Home
        from release.moves.adopt import remark_of
        from release.moves.rollback import roll_back

        done = roll_back(Home(folder), name, version, reason=reason, tell=_tell)
        remark = remark_of(Home(folder), name)
        told_rollback(Home(folder), name, done)
    _fail_unless_deployed(name, done)
    click.echo(f"{name}: version {done.serving} serves again" + (f" at {done.url}" if done.url else ""))
    if remark:
        click.echo(f"{name}: {remark}", err=True)


@main.command(**example('headgate promote quickstart 7 --override "launch demo" --expires 12h'))
@NAME
@click.argument("version", type=_NUMBER)
@click.option("--override", "reason", help="Why a version that did not pass is to serve nevertheless.")
@click.option("--expires", default="7d", show_default=True, help="How long an override holds: 30m, 12h, 7d.")
@click.option(
    "--allow", multiple=True, help="What clients may lose by the override, such as 'drop topic'; repeatable."
)
@HOME
def promote(
    name: str, version: int, reason: str | None, expires: str, allow: tuple[str, ...], home: Path | None
) -> None:
    """Make the registered VERSION of NAME serve: one that passed, or, with --override, one that did not.

    An override is signed, shown in status, report and /version, and expires: then the version that passed
    last serves again. Says first what clients lose and gain.
    """
    with errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from flows.cli.override import show_override
        from release.home import Home
        from release.moves.promote_by_hand import promote_by_hand

        done = promote_by_hand(
            Home(folder), name, version, reason=reason, expires=expires, allow=allow, tell=_tell
        )
        if done.override is not None:
            show_override(Home(folder), done.run, done.override)
    _fail_unless_deployed(name, done.outcome)
    how = f" by an override that ends in {expires}" if done.override is not None else ""
    click.echo(f"{name}: version {done.outcome.serving} serves{how} at {done.outcome.url}")


@main.command(**example("headgate adopt configs/quickstart.yaml --local"))
@CONFIG
@click.option("--local", "whose", flag_value="local", help="Carry what serves here into the registry.")
@click.option(
    "--registry",
    "whose",
    flag_value="registry",
    help="Take over the registry's champion; what was here before is put aside.",
)
@HOME
@SET
def adopt(config: Path, whose: str | None, home: Path | None) -> None:
    """Bring the release folder of CONFIG and its registry together, after one was moved, lost or exchanged.

    Without an option: say how they stand to each other. What is carried gets a new number in the registry;
    its bundle and verdict stay as they were judged and signed.
    """
    from flows.config.load import load_project

    with errors_shown():
        project = load_project(config)
        folder = config_home(config, home)
        prepare(folder, on_console=True)
        from release.home import Home
        from release.moves.adopt import adopt_local, adopt_registry, standing_of

        asked = (Home(folder), project.name, project.registry)
        if whose is None:
            _, problem = standing_of(*asked)
            if problem:
                fail(problem, exit_codes.USAGE)
            click.echo(f"{project.name}: registry and release folder belong together")
            return
        done = {"local": adopt_local, "registry": adopt_registry}[whose](*asked, project.deploy)
    click.echo(f"{project.name}: {done.said}")


@main.command(**example("headgate follow quickstart --home /srv/replica --tracking-uri http://mlflow:5000"))
@NAME
@HOME
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
    with errors_shown():
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


for command in (check, init, keys, schedule, up, clean, export, notify_test):
    main.add_command(command)


@main.command(**example("headgate schema > configs/schema.json"))
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from flows.config.load import json_schema

    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))


def _tell(line: str) -> None:
    click.echo(several_lines(line), err=True)


def _fail_unless_deployed(name: str, done: DeployOutcome) -> None:
    if not done.deployed:
        now = f"version {done.serving or 'none'} is the champion"
        fail(f"{name}: {done.reason}" + ("" if now in done.reason else f"; {now}"), exit_codes.FAILED)


if __name__ == "__main__":
    main()
