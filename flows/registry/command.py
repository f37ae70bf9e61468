"""`headgate mlflow NAME …`: MLflow's own command line on the registry of a project.

Its programs look for others on PATH, and its address and telemetry are set by variables: all of that is given
here, so that nothing has to be activated or exported first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from flows.cli.options import HOME, NAME, errors_shown, example
from flows.state_folder import existing_home
from model.bundle.telemetry import SWITCHES


@click.command(
    "mlflow",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    **example("headgate mlflow quickstart models serve -m models:/quickstart/1 --env-manager local"),
)
@HOME
@NAME
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def mlflow_command(name: str, home: Path | None, arguments: tuple[str, ...]) -> None:
    """Run MLflow's command line on the registry of NAME, such as `ui` or `models serve`."""
    arguments, last = without_home(arguments)
    home = last or home
    with errors_shown():
        folder = existing_home(home, name)
        variables = {**os.environ, **mlflow_variables(folder, name)}
        if arguments[:1] in (("ui",), ("server",)) and (page := runs_page(folder, name, arguments)):
            click.echo(f"the runs of {name}: {page}")
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", *arguments], variables)


def without_home(arguments: Sequence[str]) -> tuple[tuple[str, ...], Path | None]:
    """(The arguments for MLflow, the state folder): `--home` is ours wherever it stands; MLflow has none."""
    left, home, words = list[str](), None, iter(arguments)
    for word in words:
        if word == "--home" or word.startswith("--home="):
            value = word.partition("=")[2] or next(words, "")
            home = Path(value) if value else home
        else:
            left.append(word)
    return tuple(left), home


def mlflow_variables(folder: Path, name: str) -> dict[str, str]:
    """Variables by which MLflow's programs find each other and the registry of project `name`.

    Raises:
        model.errors.HeadgateError: the project's registry can't be used.
    """
    from release.home import Home
    from release.registry.store import tracking_uri
    from release.saved_settings import load_settings

    home = Home(folder)
    uri = tracking_uri(home, load_settings(home, name).registry.tracking_uri)
    beside = str(Path(sys.executable).parent)
    return {
        **SWITCHES,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "PATH": os.pathsep.join(filter(None, (beside, os.environ.get("PATH", "")))),
    }


def runs_page(folder: Path, name: str, arguments: Sequence[str]) -> str:
    """Address of the project's runs where MLflow's server is started with these arguments; empty where there
    are none yet. Opened from MLflow's own list, an experiment shows its pages on language models instead."""
    from release.home import Home
    from release.registry.tracking.pages import training_page
    from release.saved_settings import load_settings

    home = Home(folder)
    below = training_page(home, name, load_settings(home, name).registry)
    host, port = _given(arguments, "--host", "-h", "127.0.0.1"), _given(arguments, "--port", "-p", "5000")
    return f"http://{host}:{port}/{below}" if below else ""


def _given(arguments: Sequence[str], long: str, short: str, default: str) -> str:
    """Value of an option among arguments that another program reads."""
    for at, word in enumerate(arguments):
        if word in (long, short) and at + 1 < len(arguments):
            return arguments[at + 1]
        if word.startswith(f"{long}="):
            return word.removeprefix(f"{long}=")
    return default
