"""`headgate export`: a version for whoever uses transformers, and for the hub."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import HOME, NAME, errors_shown, example
from flows.state_folder import existing_home, prepare


@click.command(epilog=example("headgate export quickstart --to exported")["epilog"])
@NAME
@click.option(
    "--version", type=click.IntRange(min=1), help="Registered version. Default: the one that serves."
)
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder, empty or new. Default: exported/NAME.",
)
@click.option(
    "--push",
    metavar="ORG/NAME",
    help="Also put it on the Hugging Face hub, private; of several heads, one repository each.",
)
@HOME
def export(name: str, version: int | None, to: Path | None, push: str | None, home: Path | None) -> None:
    """Write a version of NAME as plain transformers models, one folder a head.

    Each is a sequence classifier that `pipeline("text-classification", FOLDER)` loads without code of
    Headgate's, in float32, with a model card; its answers were compared with the bundle's. Without --push
    nothing leaves this machine.
    """
    with errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from release.home import Home
        from release.hub.export import export_version, push_heads

        out = (to or Path("exported") / name).resolve()
        number, heads = export_version(Home(folder), name, version, out)
        click.echo(f"{name} version {number}, {len(heads)} of {len(heads)} heads in {out}")
        for one in heads:
            click.echo(
                f"  {one.head}: differs from the bundle by at most {one.difference:.1g} of a probability"
            )
        if push is not None:
            for head, address in push_heads(name, number, heads, push).items():
                click.echo(f"  {head}: {address}")
