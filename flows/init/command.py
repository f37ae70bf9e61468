"""The command `headgate init FILE…`."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

import click

from flows.cli import exit_codes
from flows.cli.options import errors_shown, example, fail, for_shell, program
from serving.shown import one_line, several_lines

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@click.command(epilog=example("headgate init tickets.csv chats.jsonl --name my-shop")["epilog"])
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="Name of the project. Default: of the file, of several the folder's.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: NAME.yaml, here.")
@click.option("--text", help="Column that holds the texts.")
@click.option("--head", "heads", multiple=True, help="Column of labels to learn; may be given several times.")
@click.option("--yes", is_flag=True, help="Ask nothing: take each guess.")
@click.option("--force", is_flag=True, help="Write over a configuration that is there.")
def init(
    files: tuple[Path, ...],
    name: str | None,
    out: Path | None,
    text: str | None,
    heads: tuple[str, ...],
    yes: bool,
    force: bool,
) -> None:
    """Look at FILES and write a configuration for them: texts, heads, splits, margins.

    \b
    Reads CSV, TSV, JSONL, Parquet, Arrow, Excel and exports of labelling tools.
    Asks on a terminal where it is not sure.
    """
    name = name or _default_name(files)
    if not _NAME.fullmatch(name):
        fail(
            f"--name {name!r}: expected lower-case letters, digits, - and _, a letter first", exit_codes.USAGE
        )
    target = out or Path(f"{name}.yaml")
    asks = sys.stdin.isatty() and not yes
    if target.exists() and not force and not (asks and click.confirm(f"{target} is there. Write over it?")):
        fail(f"{target} is there; choose another with --out, or --force", exit_codes.USAGE)
    with errors_shown():
        from flows.init.asking import Asker
        from flows.init.draft import drafted

        asker = Asker(asks=asks, text=text, heads=heads)
        draft, problem = drafted(files, name, target, asker)
        from flows.init.written import summary, yaml_text
        from model.files import write_bytes

        write_bytes(target, yaml_text(draft).encode())
    for line in [*summary(draft), *(f"guessed: {guess}" for guess in asker.guesses)]:
        click.echo(_wrapped(line))
    click.echo(f"\nwritten: {target}")
    if problem:
        click.echo(several_lines(f"headgate: the data can't be used yet: {problem}"), err=True)
        raise SystemExit(exit_codes.DATA_REJECTED)
    click.echo(f"look it over, then run:\n  {program('headgate')} retrain {for_shell(target)}")


def _wrapped(line: str) -> str:
    """A line for a terminal of 80 columns."""
    begin = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(one_line(line.strip()), 80, initial_indent=begin, subsequent_indent=f"{begin}  ")


def _default_name(files: tuple[Path, ...]) -> str:
    """A name for the project: the file's, of several the folder's in which the command is run."""
    wanted = files[0].name.partition(".")[0] if len(files) == 1 else Path.cwd().name
    name = re.sub(r"[^a-z0-9_-]+", "-", wanted.lower()).strip("-_")
    return name[:63] if name and name[0].isalpha() else "project"


@click.command(epilog=example("headgate schema > configs/schema.json")["epilog"])
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from flows.config.load import json_schema

    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))
