"""`headgate keys`: see, exchange and trust the keys that releases are signed with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from flows.cli.options import HOME, NAME, errors_shown, example
from flows.state_folder import existing_home, prepare
from serving.shown import one_line


@click.group(epilog=example("headgate keys show quickstart")["epilog"])
def keys() -> None:
    """The keys that releases are signed with: show, exchange, trust (docs/keys.md)."""


@keys.command(**example("headgate keys show quickstart"))
@NAME
@HOME
def show(name: str, home: Path | None) -> None:
    """Where the keys of NAME lie, their fingerprints, and which of them signed each release."""
    from release.home import Home
    from release.keys import key_state

    with errors_shown():
        state = key_state(Home(existing_home(home, name)), name)
    can = "signs and verifies" if state.can_sign else "verifies only: the private key is not here"
    lines = [f"folder     {state.folder} ({can})"]
    for place, fingerprint in enumerate(state.trusted.fingerprints):
        lines.append(f"{'trusted   ' if place else 'key       '} {fingerprint}")
    lines += [f"version {version:<3}{signer}" for version, signer in sorted(state.releases.items())]
    _echo(lines)


@keys.command(**example("headgate keys new quickstart"))
@NAME
@HOME
def new(name: str, home: Path | None) -> None:
    """Make a new key pair for NAME. The former public key stays trusted; a running endpoint is restarted."""
    with errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from release.home import Home
        from release.moves.new_key import new_key

        _echo(new_key(Home(folder), name))


@keys.command(**example("headgate keys trust quickstart release.pub"))
@NAME
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@HOME
def trust(name: str, file: Path, home: Path | None) -> None:
    """Trust the public keys in FILE (PEM) beside that of NAME, also on a machine that only serves."""
    with errors_shown():
        folder = existing_home(None, name) if home is None else home.resolve()
        prepare(folder, on_console=True)
        from release.home import Home
        from release.moves.new_key import trust_key

        _echo(trust_key(Home(folder), name, file))


@keys.command(name="re-sign", **example("headgate keys re-sign quickstart --forget"))
@NAME
@click.option("--forget", is_flag=True, help="Then trust no former key any more.")
@HOME
def re_sign(name: str, forget: bool, home: Path | None) -> None:
    """Sign all of NAME that a trusted key signed again with the present one, here and in the registry."""
    with errors_shown():
        folder = existing_home(home, name)
        prepare(folder, on_console=True)
        from release.home import Home
        from release.moves.new_key import sign_again

        _echo(sign_again(Home(folder), name, forget=forget))


def _echo(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(one_line(line))
