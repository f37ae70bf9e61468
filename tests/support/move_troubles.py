"""What befalls an endpoint while a version is deployed to it or rolled back, and how each move must end.

Real endpoints with toy models. Where the endpoint can be asked in the end, the move is made; where it can't,
nothing is refused, withdrawn or dropped, and once the trouble is over the next start finds all right.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import psutil

from release.journal import Journal
from release.moves.reconcile import reconcile, resume_deployment
from release.moves.rollback import roll_back
from release.releases import open_releases
from release.saved_settings import Settings, save_settings
from release.targets.deploy import DeployEnd, DeployOutcome
from serving.client import request
from serving.errors import NoAnswer
from serving.process import control as process
from serving.spec import DeploySpec
from tests.support.toy_bundle import NAME
from tests.support.toy_release import DEPLOY, SPEC, World, check, ship

Direction = Literal["deploy", "rollback"]
DIRECTIONS: tuple[Direction, ...] = ("deploy", "rollback")
TROUBLED = replace(DEPLOY, start_timeout_s=60)
CLIENTS, TEXTS = 16, 64
"""Of the load: clients, and texts in each request."""
FOLLOWS_S = 20.0
"""Longest time in which an endpoint follows the release folder, on a busy machine."""
TOKEN, LATER_TOKEN = "a-token-of-a-campaign", "the-token-that-came-later"


@dataclass(slots=True)
class Met:
    """What the load met while the version was moved."""

    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that befalls an endpoint."""

    name: str
    befall: Callable[[World, Met], contextlib.AbstractContextManager[None]]
    """Begins when it is entered, is over when it is left."""
    spec: DeploySpec = TROUBLED
    end: DeployEnd = "deployed"
    """How a move must end."""
    with_token: bool = False


@contextlib.contextmanager
def _nothing(world: World, met: Met) -> Iterator[None]:
    yield


def _running(world: World) -> process.EndpointState:
    state = process.status(world.state_file)
    assert state is not None, "no endpoint runs"
    return state


@contextlib.contextmanager
def _loaded(world: World, met: Met) -> Iterator[None]:
    """Clients that ask for many texts, each again as soon as it is answered."""
    url, over = _running(world).url, threading.Event()

    def client() -> None:
        while not over.is_set():
            try:
                status, _, _ = request(url, "POST", "/predict", {"texts": ["late order"] * TEXTS}, None, 10)
            except NoAnswer:
                status = 0
            met.statuses[status] += 1

    clients = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in clients:
            one.join(15)


@contextlib.contextmanager
def _stopped(world: World, met: Met) -> Iterator[None]:
    """It hangs with all of its workers: nothing answers, and nothing ends."""
    main = psutil.Process(_running(world).pid)
    family = [main, *main.children(recursive=True)]
    for one in family:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def _killed(world: World, met: Met) -> Iterator[None]:
    os.kill(_running(world).pid, signal.SIGKILL)
    yield


def token_file(world: World) -> Path:
    """The file of the endpoint's token."""
    return world.root / "token"


def write_token(world: World, token: str) -> None:
    """Exchange the token in its file, as an operator does: the endpoint is not told."""
    token_file(world).touch(mode=0o600)
    token_file(world).write_text(token)


@contextlib.contextmanager
def _exchanged(world: World, met: Met) -> Iterator[None]:
    write_token(world, LATER_TOKEN)
    yield


@contextlib.contextmanager
def _unusable(world: World, met: Met) -> Iterator[None]:
    """A token that the endpoint does not know and would not start with: it goes on with the former one."""
    write_token(world, "short")
    try:
        yield
    finally:
        write_token(world, TOKEN)


TROUBLES = (
    Trouble("none", _nothing),
    Trouble(f"{CLIENTS} clients × {TEXTS} texts", _loaded, replace(TROUBLED, queue_limit=128, max_batch=8)),
    Trouble("a place for one text", _nothing, replace(TROUBLED, queue_limit=1)),
    Trouble("hangs", _stopped),
    Trouble("hangs with two workers", _stopped, replace(TROUBLED, workers=2)),
    Trouble("killed", _killed),
    Trouble("token exchanged", _exchanged, with_token=True),
    Trouble(
        "token unusable", _unusable, replace(TROUBLED, start_timeout_s=2), "unconfirmed", with_token=True
    ),
)


def flaws(world: World, trouble: Trouble, direction: Direction, met: Met | None = None) -> list[str]:
    """What is not right when a version is moved in a trouble; empty if everything is. For a new world."""
    spec = trouble.spec
    if trouble.with_token:
        write_token(world, TOKEN)
        spec = replace(spec, token_file=str(token_file(world)))
    calm = replace(spec, start_timeout_s=TROUBLED.start_timeout_s)
    first, deploys = ship(world, world.candidate(), calm).wanted, direction == "deploy"
    if not deploys:
        ship(world, world.candidate(), calm)
    save_settings(world.home, NAME, Settings(registry=SPEC, deploy=spec))
    with trouble.befall(world, met or Met()):
        done = ship(world, world.candidate(), spec) if deploys else roll_back(world.home, NAME)
        found = [f"it ended {done.end}, expected {trouble.end}: {done.reason}"] * (done.end != trouble.end)
        found += _moved_wrongly(done, direction, first)
        found += _destroyed(world, first)
    reconcile(world.home, NAME, SPEC)
    resume_deployment(world.home, NAME, SPEC, calm)
    try:
        champion = _checked(world)
    except AssertionError as error:
        return [*found, str(error)]
    return found + [f"version {champion} serves, not {done.serving}"] * (champion != done.serving)


def _checked(world: World) -> int | None:
    """The champion, if everything is right within `FOLLOWS_S`: nobody waited for the endpoint to follow the
    pointer back where the move itself could not ask it."""
    until = time.monotonic() + FOLLOWS_S
    while True:
        try:
            return check(world)
        except AssertionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _moved_wrongly(done: DeployOutcome, direction: Direction, first: int) -> Iterator[str]:
    """A deployment stays; a rollback that was not confirmed did not happen."""
    wanted = first + 1 if direction == "deploy" or done.end == "unconfirmed" else first
    if done.serving != wanted:
        yield f"version {done.serving} is the champion, expected {wanted}"


def _destroyed(world: World, first: int) -> Iterator[str]:
    """Both versions passed their gates: nothing may be lost of either."""
    releases = open_releases(world.home, NAME, SPEC)
    for version in (first, first + 1):
        if not releases.folder.version_dir(version).is_dir():
            yield f"version {version} was dropped"
    for entry in Journal(world.home.journal / f"{NAME}.jsonl").entries():
        if entry.event in ("not deployed", "withdrawn", "restored"):
            yield f"{entry.event}: version {entry.version}: {entry.detail}"
