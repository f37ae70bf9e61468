"""`headgate schedule` and `headgate up`: run without a hand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from flows.cli import exit_codes
from flows.cli.options import HOME, SET, errors_shown, example, fail
from flows.state_folder import config_home, prepare
from serving.shown import one_line

_CONFIGS = click.argument(
    "configs", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="CONFIG…"
)
_PORT = click.IntRange(min=1, max=65535)


@click.command(epilog=example("headgate schedule configs/quickstart.yaml")["epilog"])
@_CONFIGS
@HOME
@SET
@click.option("--show", is_flag=True, help="Change nothing; say what the server has.")
@click.option("--remove", is_flag=True, help="Take the deployments off the server.")
def schedule(configs: tuple[Path, ...], home: Path | None, show: bool, remove: bool) -> None:
    """Deploy the flows of each CONFIG on the Prefect server that PREFECT_API_URL names.

    Retraining and validation start by the `schedule` of the configuration, retraining also when the data has
    drifted. Called again it changes what differs and nothing else. `--set` counts for the
    deployments; their runs read CONFIG anew, with the variables of their worker.
    """
    from flows.config.load import load_project

    if show and remove:
        raise click.UsageError("give --show or --remove, not both")
    with errors_shown():
        projects = [load_project(config) for config in configs]
        twice = {
            project.name for project in projects if [one.name for one in projects].count(project.name) > 1
        }
        if twice:
            fail(
                f"two configurations have the name {sorted(twice)[0]!r}: give each its own", exit_codes.USAGE
            )
        if not os.environ.get("PREFECT_API_URL"):
            fail(
                "schedule: PREFECT_API_URL names no Prefect server, and a temporary one starts nothing; set "
                "it, such as http://127.0.0.1:4200/api, or run `headgate up CONFIG`, which starts a server",
                exit_codes.USAGE,
            )
        prepare(config_home(configs[0], home), on_console=True)
        from flows.cli.prefect_server import refuse_unusable_server
        from flows.cli.running import server_watched

        refuse_unusable_server()
        with server_watched():
            from flows.schedule.command import remove_all, schedule_all, show_all

            work = show_all if show else remove_all if remove else schedule_all
            for line in work(list(zip(projects, configs, strict=True)), home):
                click.echo(one_line(line))


@click.command(epilog=example("headgate up configs/quickstart.yaml")["epilog"])
@_CONFIGS
@HOME
@SET
@click.option("--port", type=_PORT, default=4200, show_default=True, help="Of the Prefect server.")
@click.option("--mlflow", is_flag=True, help="MLflow's page, too.")
@click.option("--mlflow-port", type=_PORT, default=5000, show_default=True)
@click.option(
    "--check", is_flag=True, help="Start nothing; say what is not running. Exit code 1 if anything."
)
def up(
    configs: tuple[Path, ...], home: Path | None, port: int, mlflow: bool, mlflow_port: int, check: bool
) -> None:
    """Run all that CONFIG needs: Prefect's server and worker, the schedule, the endpoint.

    In the foreground, until SIGTERM or Ctrl-C; what dies is started again. With PREFECT_API_URL set, that
    server is used and none is started. `--set` holds for all that it starts, and so for every run.
    """
    from flows.config.load import load_project

    with errors_shown():
        projects = [load_project(config) for config in configs]
        folder = config_home(configs[0], home)
        server = os.environ.get("PREFECT_API_URL") or None
        prepare(folder, on_console=False)
        from flows.up.parts import ProjectAt, Wanted
        from flows.up.run import not_running, run_up
        from release.home import Home

        wanted = Wanted(
            projects=[
                ProjectAt(
                    name=project.name,
                    config=config,
                    home=Home(config_home(config, home)),
                    tracking_uri=project.registry.tracking_uri,
                )
                for project, config in zip(projects, configs, strict=True)
            ],
            home=Home(folder),
            given_home=home,
            server=server,
            port=port,
            mlflow_port=mlflow_port if mlflow else None,
        )
        if not check:
            run_up(wanted)
            return
        good, bad = not_running(wanted)
    _list(good)
    _list(bad, err=True)
    raise SystemExit(exit_codes.FAILED if bad else exit_codes.DONE)


def _list(lines: Sequence[str], *, err: bool = False) -> None:
    for line in lines:
        click.echo(one_line(line), err=err)
