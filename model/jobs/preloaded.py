"""A process that has loaded, once, the libraries that models need, and forks for each command of `model`.

    with preloaded(log, encoder):
        run_model(["fit", …])  # in a fork: memory is given back and a crash stays there, as of any process

Loading torch and transformers takes 8 s of processor time, a fork a few milliseconds. The parent of the forks
computes nothing, so that no thread of it is lost in them. Where it can't be started or is gone, commands run
in new interpreters. What is judged by a fresh process is not run here. Does not know what the commands do.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ..__main__ import SPIN_TURNS
from ..files import read_json

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""Where the package `model` is found, whether installed or run from a checkout."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when the thread that started it ends."""
SPIN_VARIABLE = "GOMP_SPINCOUNT"
"""Read when torch is loaded: see `model.__main__`."""
MOST_BYTES = 1 << 17
"""Longest order: arguments and environment."""
LOADED = (
    *("torch", "transformers.models.auto.modeling_auto", "transformers.modeling_utils", "accelerate"),
    *("safetensors.torch", "onnx", "onnxruntime.transformers.optimizer", "onnxruntime.quantization"),
    *("sklearn.linear_model", "sklearn.feature_extraction.text"),
    *(f"model.{name}" for name in ("train.fit", "train.teach", "export.package", "measure.cheap_answers")),
)
"""Modules that the commands need."""


class Forked:
    """One command in a fork; as much of `subprocess.Popen` as `model.jobs.process` needs."""

    def __init__(self, output: int, status: IO[str], pid: int) -> None:
        self.pid = pid
        self.stdout: IO[str] | None = os.fdopen(output, encoding="utf-8", errors="replace")
        self._status, self._code = status, None if pid else 1
        self._reading = threading.Lock()
        """Held while the exit code is read: another thread that read, too, would find nothing left."""

    def wait(self) -> int:
        """Its exit code, negative for a signal, when it has ended."""
        with self._reading:
            return self._read_code()

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if not self._reading.acquire(blocking=False):
            return None  # somebody waits for its end
        try:
            ready, _, _ = select.select([self._status], [], [], 0)
            return self._read_code() if self._code is not None or ready else None
        finally:
            self._reading.release()

    def _read_code(self) -> int:
        if self._code is None:
            line = self._status.readline()
            self._code = int(line) if line.strip() else -signal.SIGTERM  # its parent is gone, and it with it
        return self._code

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, what: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, what)

    def __enter__(self) -> Forked:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for its end."""
        if self.stdout is not None:
            self.stdout.close()
        self.wait()
        self._status.close()


class Preloaded:
    """The process whose forks run commands; it loads while its starter goes on."""

    def __init__(self, log: Path, encoder: Path | None, modules: Sequence[str] = LOADED) -> None:
        """Start it.

        Args:
            log: for what it says itself.
            encoder: its folder, whose kind of model is loaded, too.
            modules: what is loaded.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        names = [*modules, *([] if encoder is None else _modules_of(encoder))]
        with theirs, log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "model.jobs.preloaded", str(theirs.fileno()), *names],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env={SPIN_VARIABLE: SPIN_TURNS["fit"], **model_environment()},
                pass_fds=[theirs.fileno()],
                preexec_fn=end_with_parent,
            )
        self._one_at_a_time = threading.Lock()

    def start(
        self, arguments: Sequence[str], *, stderr: IO[str], cwd: str, env: Mapping[str, str]
    ) -> Forked | None:
        """A command of `model` in a fork; None where there is no process to fork from."""
        order = json.dumps({"arguments": list(arguments), "cwd": cwd, "environment": dict(env)}).encode()
        output, their_output = os.pipe()
        status, their_status = os.pipe()
        sent = [their_output, stderr.fileno(), their_status]
        try:
            with self._one_at_a_time:
                socket.send_fds(self._orders, [order], sent)
        except OSError:  # it has ended, or the order is longer than a packet
            os.close(output)
            os.close(status)
            return None
        finally:
            os.close(their_output)
            os.close(their_status)
        told = os.fdopen(status, encoding="ascii")
        pid = told.readline()
        if not pid.strip():
            os.close(output)
            told.close()
            return None
        return Forked(output, told, int(pid))

    def close(self) -> None:
        """End it, and with it the forks that are left."""
        self._orders.close()
        self._process.terminate()
        self._process.wait()


_open: list[Preloaded] = []
"""The process of this one, where there is one; a list, so that it is changed in place."""


def current() -> Preloaded | None:
    """The process to fork from, where there is one."""
    return _open[-1] if _open else None


@contextlib.contextmanager
def preloaded(log: Path, encoder: Path | None = None, modules: Sequence[str] = LOADED) -> Iterator[Preloaded]:
    """Meanwhile `run_model` forks instead of starting interpreters. For the main thread: the process ends
    with the thread that started it."""
    process = Preloaded(log, encoder, modules)
    _open.append(process)
    try:
        yield process
    finally:
        _open.remove(process)
        process.close()


def model_environment() -> dict[str, str]:
    """Environment of a process of `model`."""
    path = [str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
    }


def end_with_parent() -> None:
    """In the child: end when we end, however that happens; after a kill -9 nobody else would stop it,
    and a training left behind slows the rerun many times over."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _modules_of(encoder: Path) -> list[str]:
    """Modules of transformers for an encoder's kind of model; none where it can't be told."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kind = str(read_json(encoder / "config.json")["model_type"]).replace("-", "_")
        return [f"transformers.models.{kind}.modeling_{kind}"] if kind.isidentifier() else []
    return []


def main(argv: list[str]) -> int:
    """`FD MODULE…`: load, then obey the orders that come over the socket until its other end is closed."""
    from ..bundle.telemetry import load_engine, telemetry_off

    telemetry_off()
    if any(name.startswith("onnxruntime") for name in argv):
        load_engine()  # first: it must not send, and its own modules import it
    for name in argv[1:]:
        with contextlib.suppress(ImportError):  # the command that needs it will say so
            import_module(name)
    with socket.socket(fileno=int(argv[0])) as orders:
        _obey(orders)
    return 0


def _obey(orders: socket.socket) -> None:
    """Fork for each order; tell the process id first, and the exit code when it has ended."""
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    running: dict[int, int] = {}
    while True:
        watched: list[Any] = [orders, wake]
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            os.read(wake, 4096)
            _tell_ended(running)
        if orders not in ready:
            continue
        order, files, _, _ = socket.recv_fds(orders, MOST_BYTES, 3)
        if not order:
            return
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for fd in (wake, woken, orders.detach(), *running.values()):
                    os.close(fd)
                code = _command(json.loads(order), files, parent)
            except BaseException:
                traceback.print_exc()
                code = 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(files[0])
        os.close(files[1])
        running[pid] = files[2]
        os.write(files[2], f"{pid}\n".encode())


def _tell_ended(running: dict[int, int]) -> None:
    """Tell the exit codes of forks that have ended."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            fd = running.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(fd, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(fd)


def _command(order: Mapping[str, Any], files: Sequence[int], parent: int) -> int:
    """In the fork: one command of `model`, as a process of its own would run it."""
    from ..__main__ import main as command

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    end_with_parent()
    if os.getppid() != parent:
        return 1  # it ended before we asked to be told
    os.dup2(files[0], 1)
    os.dup2(files[1], 2)
    for fd in files:
        os.close(fd)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(str(order["cwd"]))
    return command(list(order["arguments"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
