"""Starting, finding, asking and stopping an endpoint from another process.

An endpoint is known by its state file: process id together with that process's start time, because ids
are reused and a stranger must never be signalled. Linux only (reads /proc). Does not know what is served.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model.errors import HeadgateError
from serving.client import NoAnswer, get
from serving.spec import DeploySpec

END_S = 5.0
"""How long an endpoint that does not become ready may take to end before it is killed, in seconds."""


class EndpointError(HeadgateError):
    """The endpoint could not be started, stopped or reached; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What a running endpoint says about itself in its state file."""

    pid: int
    """Process id."""
    start_ticks: int
    """Start time of that process in clock ticks since boot (`/proc/<pid>/stat`, field 22)."""
    host: str
    """Address that it listens on."""
    port: int
    """Port that it listens on."""
    name: str
    """Registered model that it serves."""
    started: str
    """When it began to listen: ISO 8601, UTC."""
    workers: int = 1
    """Processes that share the port; with several, `pid` is that of their supervisor."""

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int | None:
    """Start time of a running process in clock ticks since boot; None if there is none (or a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command, in parentheses, may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def read_state(state_file: Path) -> EndpointState | None:
    """What a state file says, whether that endpoint still runs or not; None where there is none.

    Raises:
        EndpointError: the file is not one of an endpoint.
    """
    try:
        return EndpointState(**json.loads(state_file.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise EndpointError(f"{state_file}: not an endpoint's state file; remove it") from error


def status(state_file: Path) -> EndpointState | None:
    """The endpoint of a state file if it runs now, else None."""
    state = read_state(state_file)
    return state if state is not None and state.alive else None


def start(
    releases: Path, public_key: Path, spec: DeploySpec, state_file: Path, log_file: Path
) -> EndpointState:
    """Start an endpoint that outlives this process and wait until it serves a version.

    If one already runs for this state file it is returned as it is.

    Args:
        releases: release folder of one model.
        public_key: PEM file of the key that releases must be signed with.
        spec: where and how; `start_timeout_s` bounds the wait.
        state_file: where the endpoint says who it is.
        log_file: its log, appended to.

    Raises:
        EndpointError: it ended, or serves nothing after `start_timeout_s`; it is stopped then.
    """
    state_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with _start_lock(state_file):
        running = status(state_file)
        if running is not None:
            return running
        state_file.unlink(missing_ok=True)
        log_from = log_file.stat().st_size if log_file.exists() else 0
        pid = _spawn(serve_command(releases, public_key, spec, state_file), log_file)
        deadline = time.monotonic() + spec.start_timeout_s
        reason = "it did not begin to listen"
        while time.monotonic() < deadline:
            ended, code = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(code)
                said = _last_message(log_file, log_from)
                raise EndpointError(f"the endpoint ended with exit code {code}: {said} (log: {log_file})")
            state = status(state_file)
            if state is not None:
                with contextlib.suppress(NoAnswer):
                    code, body = get(state.url, "/ready", timeout_s=2)
                    if code == 200:
                        return state
                    reason = f"it is not ready: {body.get('reason', 'no reason given')}"
            time.sleep(0.05)
        # Our own child, not yet waited for: its id can't have been reused. Asked first, so that its workers
        # are gone with it and the port is free.
        os.kill(pid, signal.SIGTERM)
        asked = time.monotonic()
        while not os.waitpid(pid, os.WNOHANG)[0]:
            if time.monotonic() - asked > END_S:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                break
            time.sleep(0.02)
        state_file.unlink(missing_ok=True)
        raise EndpointError(
            f"no version served {spec.start_timeout_s:g} s after the start: {reason} (log: {log_file})"
        )


def stop(state_file: Path, wait_s: float = 40.0) -> bool:
    """Ask an endpoint to finish what it accepted and end (SIGTERM); after `wait_s` end it (SIGKILL).

    Returns whether one was running.
    """
    state = status(state_file)
    if state is None:
        state_file.unlink(missing_ok=True)
        return False
    _signal(state, signal.SIGTERM)
    if not _gone(state, wait_s):
        _signal(state, signal.SIGKILL)
        if not _gone(state, 5.0):
            raise EndpointError(f"the endpoint (process {state.pid}) does not end")
    state_file.unlink(missing_ok=True)
    return True


def serve_command(releases: Path, public_key: Path, spec: DeploySpec, state_file: Path) -> list[str]:
    """The command that runs an endpoint in the foreground; all paths absolute."""
    command = [sys.executable, "-m", "serving", "--releases", str(releases.resolve())]
    command += ["--public-key", str(public_key.resolve()), "--state-file", str(state_file.resolve())]
    command += ["--host", spec.host, "--port", str(spec.port), "--threads", str(spec.threads)]
    command += ["--workers", str(spec.workers)]
    command += ["--max-batch", str(spec.max_batch), "--batch-wait-ms", str(spec.batch_wait_ms)]
    command += ["--queue-limit", str(spec.queue_limit), "--max-body-bytes", str(spec.max_body_bytes)]
    command += ["--max-texts", str(spec.max_texts), "--max-chars", str(spec.max_chars)]
    command += ["--poll-s", str(spec.poll_s), "--drain-timeout-s", str(spec.drain_timeout_s)]
    command += ["--max-answer-ms", str(spec.max_answer_ms)]
    if spec.token_file is not None:
        command += ["--token-file", str(Path(spec.token_file).expanduser().resolve())]
    return command


def _spawn(command: list[str], log_file: Path) -> int:
    # posix_spawn with a session of its own: the endpoint must outlive whoever starts it.
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        return os.posix_spawn(
            command[0],
            command,
            {**os.environ, "PYTHONPATH": path},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(log)


def _last_message(log_file: Path, offset: int) -> str:
    with log_file.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _signal(state: EndpointState, number: signal.Signals) -> None:
    # A pidfd names the process, not the number: between check and signal nobody can take its place.
    try:
        descriptor = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return
    try:
        if state.alive:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _gone(state: EndpointState, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while state.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(state.pid, os.WNOHANG)  # if it is our child, let it go
    return True


@contextlib.contextmanager
def _start_lock(state_file: Path) -> Iterator[None]:
    with state_file.with_name(f".{state_file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
