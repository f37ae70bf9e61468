"""Start, stop and ask the endpoint of a project by its name alone.

Thin over `serving.process.control` and `serving.client`; imports neither Prefect nor MLflow, so that commands
answer at once.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from model.errors import HeadgateError
from release.home import Home
from release.keys import key_folder
from release.saved_settings import endpoint_log, load_settings, state_file
from serving import client
from serving.process import control as process
from serving.spec import ENDPOINT
from serving.store import signing


class EndpointDown(HeadgateError):
    """The endpoint does not run, did not start or did not answer; the message says what to do."""


def _state_file(home: Home, name: str, state: Path | None) -> Path:
    """State file of the endpoint of `name`: in the home, or in the folder `state`."""
    return state_file(home, name) if state is None else state / f"{name}.json"


def start(root: Path, name: str, *, port: int | None = None, state: Path | None = None) -> str:
    """Start the endpoint of `name` in the background, or find it running; gives its address.

    Args:
        root: the home; only read where `state` is given.
        name: of the project.
        port: to listen on; None: the one that it was last deployed with.
        state: folder for the state file and the log; None: in the home.

    Raises:
        EndpointDown: it did not start; the message says why.
        serving.store.signing.KeyProblem: the public key can't be used.
    """
    home = Home(root)
    settings = load_settings(home, name)
    spec = settings.deploy
    if spec.target != ENDPOINT:
        raise EndpointDown(f"{name!r} is deployed to the target {spec.target!r}; there is no endpoint here")
    if port is not None:
        spec = dataclasses.replace(spec, port=port)
    releases = home.releases(name)
    if not releases.is_dir():
        raise EndpointDown(
            f"nothing was ever deployed as {name!r} in {root}; run `headgate retrain CONFIG` first"
        )
    keys = key_folder(home, settings.registry)
    if state is None and (keys / signing.PRIVATE_KEY).exists():
        # Writes the public key again if it is not the private one's: somebody exchanged it.
        try:
            signing.ensure_key_pair(keys)
        except signing.KeyProblem:
            # Serving only verifies; who signs next is told what is wrong with the private one.
            signing.load_public_keys(keys / signing.PUBLIC_KEY)
    try:
        log = endpoint_log(home, name) if state is None else state / f"endpoint-{name}.log"
        running = process.start(
            releases, keys / signing.PUBLIC_KEY, spec, _state_file(home, name, state), log
        )
    except process.EndpointError as error:
        raise EndpointDown(str(error)) from error
    except OSError as error:
        raise EndpointDown(
            f"{error.filename}: can't be written ({error.strerror}); name a folder for the endpoint's state "
            f"and log with: headgate serve {name} --state FOLDER"
        ) from error
    return running.url


def stop(root: Path, name: str, *, state: Path | None = None) -> bool:
    """Stop the endpoint of `name` after it has answered what it accepted; whether one was running.

    Raises:
        EndpointDown: it does not end.
    """
    try:
        return process.stop(_state_file(Home(root), name, state))
    except process.EndpointError as error:
        raise EndpointDown(str(error)) from error


def ask(root: Path, name: str, texts: list[str], *, state: Path | None = None) -> dict[str, Any]:
    """The endpoint's reply about `texts`.

    Raises:
        EndpointDown: it does not run, or refused.
    """
    home = Home(root)
    running = process.status(_state_file(home, name, state))
    if running is None:
        raise EndpointDown(f"the endpoint of {name!r} is not running; start it with: headgate serve {name}")
    token = client.read_token(load_settings(home, name).deploy.token_file)
    try:
        return client.ask(running.url, texts, token=token)
    except client.NoAnswer as error:
        raise EndpointDown(str(error)) from error
