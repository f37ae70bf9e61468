"""`headgate clean`: what is not kept any more, why, and how much it frees."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import HOME, SET, errors_shown, example
from flows.state_folder import config_home, existing_home, prepare
from serving.shown import one_line

if TYPE_CHECKING:
    from release.keep.plan import Going

WIDTH = 80
"""Of the table, in columns."""


@click.command(epilog=example("headgate clean quickstart --dry-run")["epilog"])
@click.argument("project", metavar="CONFIG|NAME")
@HOME
@SET
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--paths", is_flag=True, help="Every path, one a line.")
def clean(project: str, home: Path | None, dry_run: bool, paths: bool) -> None:
    """Remove what the project does not keep (`keep` of its configuration), as the end of each run does.

    By NAME, the rules of its last run hold. The champion, what a rollback may need, what signed records name
    and what is in use never go. Prefect's old runs go at the end of the next run.
    """
    from flows.config.load import load_project
    from release.home import Home
    from release.keep.clean import clean as remove
    from release.keep.clean import last_rules
    from release.saved_settings import load_settings

    with errors_shown():
        if Path(project).suffix in (".yaml", ".yml") or Path(project).is_file():
            loaded = load_project(Path(project))
            name, folder = loaded.name, config_home(Path(project), home)
            prepare(folder, on_console=True)
            registry, keep = loaded.registry, loaded.keep
        else:
            name, folder = project, existing_home(home, project)
            prepare(folder, on_console=True)
            registry, keep = load_settings(Home(folder), name).registry, last_rules(Home(folder), name)
        done = remove(Home(folder), name, registry, keep, dry_run=dry_run)
    for line in table(done.going) if not paths else (f"{one.size:>14,}  {one.path}" for one in done.going):
        click.echo(one_line(line))
    free = shutil.disk_usage(folder).free
    verb = "would free" if dry_run else "freed"
    click.echo(f"{name}: {verb} {shown(done.size)}; {shown(free)} of the disk are free")
    for line in done.said:
        click.echo(one_line(f"headgate: {line}"), err=True)


def table(going: Sequence[Going]) -> list[str]:
    """Lines of at most 80 columns: what goes, how much it frees, and why; the same in one line."""
    groups: dict[tuple[str, str], list[Going]] = {}
    for one in going:
        groups.setdefault((one.kind, one.why), []).append(one)
    rows = [
        (f"{len(found)} {kind}", shown(sum(one.size for one in found)), why)
        for (kind, why), found in groups.items()
    ]
    if not rows:
        return []
    first = max(len(row[0]) for row in rows)
    lines = [f"{'What':<{first}}  {'Frees':>9}  Why"]
    room = WIDTH - first - 13
    for what, size, why in rows:
        begin, *rest = textwrap.wrap(why, room)
        lines.append(f"{what:<{first}}  {size:>9}  {begin}")
        lines += [f"{'':<{first}}  {'':>9}  {one}" for one in rest]
    return lines


def shown(size: int) -> str:
    """Bytes in words: `465.0 MB`."""
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} B"
