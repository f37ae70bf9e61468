"""Starting, finding and stopping an endpoint from another process.

An endpoint is known by its state file: process id together with that process's start, so that no other
process is ever signalled. Does not know what is served.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from model.files import RecordDamaged, locked, read_record
from serving.client import get
from serving.errors import EndpointError as EndpointError
from serving.errors import NoAnswer, StartRefused
from serving.process.job import EndpointJob, endpoint_job, job_file, running_spec, write_job
from serving.processes import process_start
from serving.spec import DeploySpec
from serving.waiting import wait_until

END_S = 5.0
"""How long an endpoint that does not become ready, or that was killed, may take to end, in seconds."""
END_MARGIN_S = 10.0
"""How much longer than its drain an endpoint may take to end before it is killed, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What a running endpoint writes into its state file."""

    pid: int
    """Process id."""
    start_ticks: int
    """Start of that process in clock ticks since boot, by which it differs from a later one with its id."""
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
    state_file: str = ""
    """Absolute path that it wrote this to: a copy of the file elsewhere is not its own. Empty in files of
    older versions."""

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return process_start(self.pid) == self.start_ticks


def read_state(state_file: Path) -> EndpointState | None:
    """What a state file holds, whether that endpoint still runs or not; None where there is none.

    Raises:
        EndpointError: the file is not one of an endpoint; the message names the process to end.
    """
    try:
        return read_record(state_file, EndpointState)
    except RecordDamaged as error:
        left = _serving_by(job_file(state_file))
        end = f"end the endpoint with `kill {' '.join(map(str, left))}`, then " if left else ""
        raise EndpointError(
            f"{state_file}: not an endpoint's state file: {error}; {end}remove the file and run "
            "`headgate serve`"
        ) from error


def _serving_by(job: Path) -> list[int]:
    """Processes that serve by this job file: how an endpoint is found whose state file is damaged."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[1:] == ["-m", "serving", str(job)]:
                found.append(process.pid)
    return found


def status(state_file: Path) -> EndpointState | None:
    """The endpoint of a state file if it runs now, else None. A copy of the file has none: the original's."""
    state = read_state(state_file)
    return state if state is not None and state.alive and not _is_copy(state, state_file) else None


def at_its_place(state: EndpointState, state_file: Path) -> bool:
    """Whether the file lies where the endpoint wrote it."""
    wrote = Path(state.state_file)
    return (
        not state.state_file
        or wrote == state_file.resolve()
        or (wrote.exists() and wrote.samefile(state_file))
    )


def _is_copy(state: EndpointState, state_file: Path) -> bool:
    """Whether the same endpoint's file still stands where it was written. Where it does not, the folder was
    moved, and its endpoint is still that of this file."""
    if at_its_place(state, state_file):
        return False
    try:
        original = read_state(Path(state.state_file))
    except (OSError, EndpointError):
        return True  # there is something, and it is not ours to judge
    return original is not None and (original.pid, original.start_ticks) == (state.pid, state.start_ticks)


def start(
    releases: Path,
    public_key: Path,
    spec: DeploySpec,
    state_file: Path,
    log_file: Path,
    *,
    outlives: bool = True,
) -> EndpointState:
    """Start an endpoint and wait until it serves a version.

    If one already runs for this state file it is returned as it is.

    Args:
        releases: release folder of one model.
        public_key: PEM file of the key that releases must be signed with.
        spec: where and how; `start_timeout_s` bounds the wait.
        state_file: where the endpoint writes its process id and port.
        log_file: its log, appended to.
        outlives: whether it goes on when this process ends. If not, it ends when the calling thread does,
            however that ends: call `stop` in the same thread.

    Raises:
        StartRefused: it refused the version that the pointer names and has no other; it is stopped then.
        EndpointError: it ended, or serves nothing after `start_timeout_s`; it is stopped then.
    """
    state_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with locked(state_file.with_name(f".{state_file.name}.lock")):
        running = status(state_file)
        if running is not None and at_its_place(running, state_file):
            return running
        if running is not None:
            stop(state_file)  # its folder was moved away under it
        state_file.unlink(missing_ok=True)
        log_from = log_file.stat().st_size if log_file.exists() else 0
        command = serve_command(endpoint_job(releases, public_key, spec, state_file))
        pid = _spawn(command if outlives else [*command, "--supervisor", str(os.getpid())], log_file)
        reason = "it did not begin to listen"

        def ready() -> EndpointState | StartRefused | None:
            nonlocal reason
            ended, code = os.waitpid(pid, os.WNOHANG)
            if ended:
                _raise_ended(os.waitstatus_to_exitcode(code), log_file, log_from)
            state = status(state_file)
            if state is None:
                return None
            try:
                answered, body = get(state.url, "/ready", timeout_s=2)
            except NoAnswer:
                return None
            if answered == 200:
                return state
            why, refused = body.get("reason", "no reason given"), body.get("refused")
            reason = f"it is not ready: {why}"
            # While it still tries older versions, the reason is that it is loading.
            if isinstance(refused, dict) and refused.get("reason") == why and refused.get("known", True):
                return StartRefused(f"{reason} (log: {log_file})", refused.get("version"))
            return None

        found = wait_until(ready, timeout_s=spec.start_timeout_s, poll_s=spec.wait_poll_s)
        if isinstance(found, EndpointState):
            return found
        _end_child(pid, spec.wait_poll_s)
        state_file.unlink(missing_ok=True)
        if isinstance(found, StartRefused):
            raise found
        raise EndpointError(
            f"no version served {spec.start_timeout_s:g} s after the start: {reason} (log: {log_file})"
        )


def stop(state_file: Path, wait_s: float | None = None) -> bool:
    """Ask an endpoint to finish what it accepted and end (SIGTERM); after `wait_s` end it (SIGKILL).

    Args:
        state_file: of the endpoint.
        wait_s: longest wait for it to end, in seconds; None: its `drain_timeout_s` and `END_MARGIN_S`.

    Returns:
        Whether one was running.

    Raises:
        EndpointError: it does not end.
    """
    state, spec = status(state_file), running_spec(state_file)
    if state is not None:
        _signal(state, signal.SIGTERM)
        patience_s = spec.drain_timeout_s + END_MARGIN_S if wait_s is None else wait_s
        if not _gone(state, patience_s, spec.wait_poll_s):
            # Its workers hold the listening socket, and one that hangs does not see that it is gone.
            workers = _children(state)
            _signal(state, signal.SIGKILL)
            for worker in workers:
                with contextlib.suppress(psutil.Error):
                    worker.kill()
            if not _gone(state, END_S, spec.wait_poll_s):
                raise EndpointError(f"the endpoint (process {state.pid}) does not end")
    state_file.unlink(missing_ok=True)
    job_file(state_file).unlink(missing_ok=True)
    return state is not None


def serve_command(job: EndpointJob) -> list[str]:
    """Write the job's file; the command that runs it in the foreground."""
    path = job_file(job.state_file)
    write_job(path, job)
    return [sys.executable, "-m", "serving", str(path)]


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
                *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
            ],
            setsid=True,
        )
    finally:
        os.close(log)


def _inheritable() -> list[int]:
    """Files that a child of this process would have open, because its starter gave them to it: as the lock of
    `flock FILE headgate …`, which would be held as long as the endpoint runs."""
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of this very folder is closed by now
            if int(file.name) > 2 and os.get_inheritable(int(file.name)):
                found.append(int(file.name))
    return found


def _raise_ended(code: int, log_file: Path, offset: int) -> NoReturn:
    with log_file.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "its log is empty"
    raise EndpointError(f"the endpoint ended with exit code {code}: {last} (log: {log_file})")


def _end_child(pid: int, poll_s: float) -> None:
    """End a child that was not waited for: its id can't have been reused. Asked before it is killed, so that
    its workers go with it and the port is free."""

    def ended() -> bool | None:
        return True if os.waitpid(pid, os.WNOHANG)[0] else None

    os.kill(pid, signal.SIGTERM)
    if not wait_until(ended, timeout_s=END_S, poll_s=poll_s):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _signal(state: EndpointState, number: signal.Signals) -> None:
    try:
        process = psutil.Process(state.pid)
        if state.alive:
            process.send_signal(number)  # which looks once more whether it is this very process
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise EndpointError(
            f"the endpoint (process {state.pid}) belongs to another user; stop it as that user"
        ) from error


def _children(state: EndpointState) -> list[psutil.Process]:
    """Processes that an endpoint started and that still run."""
    try:
        return list(psutil.Process(state.pid).children(recursive=True)) if state.alive else []
    except psutil.Error:
        return []


def _gone(state: EndpointState, wait_s: float, poll_s: float) -> bool:
    gone = wait_until(lambda: None if state.alive else True, timeout_s=wait_s, poll_s=poll_s)
    if gone:
        try:
            os.waitpid(state.pid, os.WNOHANG)  # if it is our child, let it go
        except ChildProcessError:
            return True
    return gone is not None
