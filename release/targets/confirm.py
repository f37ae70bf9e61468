"""Ask the running endpoint until it is known whether it serves a version and answers as its bundle did.

An endpoint that is busy is asked again when it says; a token that was exchanged is read again; an endpoint of
ours that does not answer at all, or knows only an older token, is started again, once. Does not decide what
follows from an answer (`release.targets.deploy`).
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from model.faults import fault
from release.releases import Releases
from release.saved_settings import endpoint_log, state_file
from release.targets.golden import TEXTS_AT_ONCE, Agreement, GoldenTrial, golden_trial
from serving.bearer import guarded_token, read_token
from serving.client import see_version
from serving.errors import EndpointError, NoAnswer, StartRefused, VersionRefused, WrongUsage
from serving.process import control as process
from serving.process.control import EndpointState
from serving.spec import DeploySpec
from serving.store.manifest import BUNDLE_FOLDER

STUCK_S = 10.0
"""After so long without any answer an endpoint counts as hanging, in seconds; after a third of its
`start_timeout_s`, if that is less."""
HUNG_END_S = 1.0
"""How long an endpoint that hangs is given to end by itself, in seconds."""
UNAUTHORIZED = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a while of asking came to."""

    agreement: Agreement
    restart: bool = False
    """Whether only a new process can help."""
    hangs: bool = False
    """Whether the present process does not answer at all, so that nothing is lost with it."""


def confirm(releases: Releases, spec: DeploySpec, version: int) -> Agreement:
    """What the endpoint answers to the golden texts of `version`, which the pointer names.

    Takes at most `start_timeout_s`; where the endpoint has to be started again, that and as long once more.
    """
    file = state_file(releases.home, releases.name)
    bundle = releases.folder.version_dir(version) / BUNDLE_FOLDER
    try:
        trial = golden_trial(bundle, version, min(TEXTS_AT_ONCE, spec.max_texts))
    except (OSError, ValueError, KeyError) as error:
        why = f"the golden texts of version {version} can't be read ({error or type(error).__name__})"
        return Agreement(known="not known", why=why)
    running = process.status(file)
    seen = _ask(releases, spec, version, trial)
    if not seen.restart:
        return seen.agreement
    try:
        _start_again(releases, spec, running, hangs=seen.hangs)
    except StartRefused as error:
        return Agreement(known="differs" if error.version == version else "not known", why=str(error))
    except EndpointError as error:
        why = f"{seen.agreement.why}; started again, {error}"
        return Agreement(known="not known", why=why)
    return _ask(releases, spec, version, trial).agreement


def _ask(releases: Releases, spec: DeploySpec, version: int, trial: GoldenTrial) -> _Seen:
    """Ask until it is known, the time is over, or only a new process can help."""
    file, moved = state_file(releases.home, releases.name), _moved(releases)
    began = time.monotonic()
    patience_s = min(STUCK_S, spec.start_timeout_s / 3)
    stuck_since: float | None = None
    while True:
        running = process.status(file)
        if running is None:
            return _Seen(agreement=_open("the endpoint ended"), restart=True)
        wait_s = spec.wait_poll_s
        try:
            see_version(running.url, version, refused_since=moved)
            fault("endpoint_swapped")
            agreement = trial.ask(running.url, read_token(spec.token_file), _one_reply_s(spec))
            fault("endpoint_verified")
            return _Seen(agreement=agreement)
        except VersionRefused as error:
            if error.known:
                return _Seen(agreement=Agreement(known="differs", why=str(error)))
            why, hangs, stuck = str(error), False, False
        except WrongUsage as error:  # the token can't be read: it may be being exchanged
            why, hangs, stuck = str(error), False, False
        except NoAnswer as error:
            why, wait_s = str(error), max(wait_s, error.retry_after_s)
            hangs = error.status is None
            stuck = hangs or (error.status in UNAUTHORIZED and _would_start(spec))
        now = time.monotonic()
        stuck_since = (now if stuck_since is None else stuck_since) if stuck else None
        if stuck_since is not None and now - stuck_since >= patience_s:
            return _Seen(agreement=_open(why), restart=True, hangs=hangs)
        if now + wait_s - began > spec.start_timeout_s:
            return _Seen(agreement=_open(f"{why} (asked for {now - began:.0f} s)"))
        time.sleep(wait_s)


def _one_reply_s(spec: DeploySpec) -> float:
    """How long one reply to golden texts may take, in seconds: an endpoint that is busy says so at once."""
    return min(30.0, max(2.0, spec.start_timeout_s / 2))


def _would_start(spec: DeploySpec) -> bool:
    """Whether an endpoint that is started now would take the token that its file holds."""
    try:
        return guarded_token(spec.token_file) is not None
    except WrongUsage:
        return False


def _start_again(
    releases: Releases, spec: DeploySpec, former: EndpointState | None, *, hangs: bool
) -> EndpointState:
    """End the endpoint and start it at the same port.

    Raises:
        EndpointError: it does not end, or does not start.
    """
    file = state_file(releases.home, releases.name)
    process.stop(file, wait_s=HUNG_END_S if hangs else None)
    same = spec if former is None else dataclasses.replace(spec, port=former.port)
    return process.start(
        releases.folder.path, releases.public_key, same, file, endpoint_log(releases.home, releases.name)
    )


def _moved(releases: Releases) -> datetime:
    """When the pointer was moved, or touched so that the endpoint looks again: what it refused before then
    says nothing. The endpoint counts whole milliseconds."""
    try:
        moved_s = releases.folder.pointer_path.stat().st_mtime
    except OSError:
        moved_s = 0.0
    return datetime.fromtimestamp(int(moved_s * 1000) / 1000, UTC)


def _open(why: str) -> Agreement:
    return Agreement(known="not known", why=why)
