"""What commands share: arguments, examples, and how an error ends them.

Does not know what the commands do.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from flows.cli import exit_codes
from model.errors import foreseen, told
from serving.shown import several_lines

HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="State folder. Default: HEADGATE_HOME, else .headgate next to the configuration.",
)
NAME = click.argument("name")
CONFIG = click.argument("config", type=click.Path(dir_okay=False, path_type=Path))


def _keep(context: click.Context, parameter: click.Parameter, options: tuple[str, ...]) -> None:
    from flows.config.settings import keep_options

    keep_options(options)


SET = click.option(
    "--set",
    metavar="FIELD=VALUE",
    multiple=True,
    expose_value=False,
    callback=_keep,
    help="Set a field of the configuration, such as train.epochs=5; may be given several times.",
)
"""Of every command that reads a configuration."""


def example(text: str) -> dict[str, Any]:
    """Arguments of a command whose help ends with an example."""
    return {"epilog": f"\b\nExample:\n  {text}"}


def fail(message: str, code: int) -> NoReturn:
    """Show a message and end with an exit code."""
    click.echo(several_lines(f"headgate: {message}"), err=True)
    raise SystemExit(code)


@contextlib.contextmanager
def errors_shown() -> Iterator[None]:
    """Show a foreseen error in its own words and end with its exit code; others keep their traceback."""
    try:
        yield
    except Exception as error:
        kind = foreseen(error)
        if kind is None:
            raise
        fail(told(error), exit_codes.of_error(kind))


_JSON = "headgate.json"


def _ask_for_json(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    context.meta[_JSON] = wanted


JSON = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_ask_for_json,
    help="How it ended, as one JSON object (docs/json.md).",
)
"""Of commands that run a flow."""


def json_wanted() -> bool:
    """Whether the command that runs was asked for JSON."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_JSON))


def program(name: str) -> str:
    """How to call a program of this environment from here."""
    beside = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return name if found is not None and Path(found) == beside else for_shell(os.path.relpath(beside))


def for_shell(what: object) -> str:
    """A path or argument as a shell takes it back: in quotes where it holds blanks or signs."""
    return shlex.quote(str(what))
