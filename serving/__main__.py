"""`python -m serving`: one endpoint in the foreground.

    python -m serving --releases .headgate/releases/quickstart --public-key .headgate/keys/release.pub \\
        --port 8808 --state-file .headgate/endpoints/quickstart.json

Exit codes: 0 ended on request, 2 wrong usage (port taken, no such key), 1 anything else.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import socket
import stat
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from model.errors import HeadgateError
from model.files import write_bytes
from serving.process import logs
from serving.process.control import EndpointState, start_ticks, status
from serving.process.server import PortTaken, listen
from serving.process.supervisor import Supervisor
from serving.process.worker import OrphanedWorker, end_with, run_worker
from serving.spec import DeploySpec
from serving.store.board import Board, board_folder
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import KeyProblem, load_public_key

END_MARGIN_S = 5.0
"""How much longer than its drain a worker may take to end before it is killed, in seconds."""


class WrongUsage(HeadgateError):
    """Something that was given on the command line can't be used."""

    kind = "usage"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an endpoint until it is asked to end; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        return _serve(options, arguments)
    except (WrongUsage, PortTaken, KeyProblem, OrphanedWorker) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _serve(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    load_public_key(options.public_key)
    token = _token(options.token_file)
    board = Board(board_folder(options.state_file), options.workers)
    if options.worker is not None:
        end_with(options.supervisor)
        logs.configure(worker=options.worker)
        run_worker(options, socket.socket(fileno=options.listen_fd), token, board=board)
        return 0
    running = status(options.state_file)
    if running is not None:
        raise WrongUsage(f"an endpoint (process {running.pid}) already runs for {options.state_file}")
    sock = listen(options.host, options.port)
    logs.configure()
    state = _state(options, sock.getsockname()[1])
    if options.workers == 1:
        run_worker(options, sock, token, on_listening=lambda: _announce(options.state_file, state))
    else:
        _announce(options.state_file, state)
        Supervisor(
            [sys.executable, "-m", "serving", *arguments],
            sock,
            board,
            drain_s=options.drain_timeout_s + END_MARGIN_S,
        ).run()
    if status(options.state_file) == state:
        options.state_file.unlink()
    return 0


def _state(options: argparse.Namespace, port: int) -> EndpointState:
    ticks = start_ticks(os.getpid())
    if ticks is None:
        raise WrongUsage("this system has no /proc, by which endpoints are told apart; Linux is needed")
    return EndpointState(
        pid=os.getpid(),
        start_ticks=ticks,
        host=options.host,
        port=port,
        name=ReleaseFolder(options.releases, options.name).name,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        workers=options.workers,
    )


def _announce(state_file: Path, state: EndpointState) -> None:
    write_bytes(state_file, json.dumps(dataclasses.asdict(state), indent=1).encode())


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise WrongUsage(f"token file {path}: can't be read as ASCII text") from error
    if mode & 0o077:
        raise WrongUsage(f"token file {path}: its mode is {mode:04o}, so others may read it; expected 0600")
    if len(token) < 16:
        raise WrongUsage(f"token file {path}: the token has {len(token)} characters, expected at least 16")
    return token


def _above_zero(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"seen {text}, expected a number above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"seen {text}, expected 1 or more")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"seen {text}, expected a port from 0 to 65535")
    return number


def _parser() -> argparse.ArgumentParser:
    default = DeploySpec()
    parser = argparse.ArgumentParser(prog="python -m serving", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--releases", type=Path, required=True, help="release folder of one model")
    add("--public-key", type=Path, required=True, help="key that releases must be signed with (PEM)")
    add("--state-file", type=Path, required=True, help="where to write process id and port once listening")
    add("--name", help="registered model (default: the release folder's name)")
    add("--host", default=default.host, help="address to listen on (default: loopback)")
    add("--port", type=_port, default=default.port, help="port; 0 takes any free one (default: %(default)s)")
    add("--threads", type=_count, default=default.threads, help="CPU threads of the model")
    add("--workers", type=_count, default=default.workers, help="processes that share the port")
    add("--worker", type=int, help=argparse.SUPPRESS)  # the last three: from a supervisor to its workers
    add("--listen-fd", type=int, help=argparse.SUPPRESS)
    add("--supervisor", type=int, help=argparse.SUPPRESS)
    add("--token-file", type=Path, help="file, mode 0600, with the bearer token that requests must carry")
    add("--max-batch", type=_count, default=default.max_batch, help="most texts in one forward pass")
    add("--batch-wait-ms", type=float, default=default.batch_wait_ms, help="longest wait for a fuller batch")
    add("--queue-limit", type=_count, default=default.queue_limit, help="most texts that wait; then 503")
    add("--max-body-bytes", type=_count, default=default.max_body_bytes, help="largest body; then 413")
    add("--max-texts", type=_count, default=default.max_texts, help="most texts in one request; then 422")
    add("--max-chars", type=_count, default=default.max_chars, help="longest text in characters; then 422")
    add(
        "--max-answer-ms", type=_above_zero, default=default.max_answer_ms, help="slower versions are refused"
    )
    add("--poll-s", type=_above_zero, default=default.poll_s, help="seconds between looks for a new version")
    add(
        "--drain-timeout-s", type=_above_zero, default=default.drain_timeout_s, help="longest end, in seconds"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
