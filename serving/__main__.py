"""`python -m serving JOB`: one endpoint in the foreground.

JOB is a JSON file (`serving.process.job.EndpointJob`):

    {"releases": "…/releases/quickstart", "public_key": "…/keys/release.pub",
     "state_file": "…/endpoints/quickstart.json", "deploy": {"port": 8808, "threads": 2}}

`deploy` holds the fields of the configuration's section `deploy`; what is left out has its default.

It reads the release folder and the key, and writes nothing but the state file (`--state` puts it elsewhere)
and its log, standard error: a file opened for appending is begun anew at `deploy.log_max_bytes`.

Exit codes: 0 ended on request, 2 wrong usage (port taken, no such key, state not writable), 1 anything else.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from model.bundle.masking import mask_process
from model.bundle.telemetry import telemetry_off
from model.errors import HeadgateError
from model.files import write_json
from serving.bearer import guarded_token
from serving.errors import WrongUsage
from serving.process import logs
from serving.process.control import EndpointState, status
from serving.process.job import EndpointJob, read_job
from serving.process.server import listen
from serving.process.supervisor import Supervisor
from serving.process.worker import Place, end_with, run_worker
from serving.processes import process_start
from serving.store.board import Board
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PublicKeys, load_public_keys, public_keys_in

END_MARGIN_S = 5.0
"""How much longer than its drain a worker may take to end before it is killed, in seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an endpoint until it is asked to end; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    telemetry_off()
    mask_process()
    try:
        job = read_job(options.job)
        if options.state is not None:
            job = dataclasses.replace(job, state_file=options.state)
        keys = _keys(job, options.trusted)
        token = guarded_token(job.deploy.token_file)
        if options.supervisor is not None:
            end_with(options.supervisor)
        if options.worker is None:
            _serve(job, keys, token, options.job)
        else:
            _work(job, keys, token, options)
    except HeadgateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _serve(job: EndpointJob, keys: PublicKeys, token: str | None, job_path: Path) -> None:
    """The whole endpoint: alone, or with workers of its own."""
    running = status(job.state_file)
    if running is not None:
        raise WrongUsage(f"an endpoint (process {running.pid}) already runs for {job.state_file}")
    sock = listen(job.deploy.host, job.deploy.port)
    logs.configure()
    logs.keep_bounded(job.deploy.log_max_bytes)
    state = _state(job, sock.getsockname()[1])
    # Before anything is loaded: from here on whoever connects waits until it is.
    _announce(job.state_file, state)
    if job.deploy.workers == 1:
        run_worker(job, sock, keys, token)
    else:
        Supervisor(
            # The keys themselves: the file may be another one when a worker is started again.
            [
                *(sys.executable, "-m", "serving", str(job_path), "--state", str(job.state_file)),
                *("--trusted", keys.to_pem().decode()),
            ],
            sock,
            Board.make(job.deploy.workers),
            drain_s=job.deploy.drain_timeout_s + END_MARGIN_S,
            silent_s=job.deploy.worker_timeout_s,
        ).run()
    if status(job.state_file) == state:
        job.state_file.unlink()


def _work(job: EndpointJob, keys: PublicKeys, token: str | None, options: argparse.Namespace) -> None:
    """One of several workers, started by a supervisor."""
    logs.configure(worker=options.worker)
    place = Place(options.worker, Board(options.board_fd, job.deploy.workers))
    run_worker(job, socket.socket(fileno=options.listen_fd), keys, token, place=place)


def _keys(job: EndpointJob, given: str | None) -> PublicKeys:
    """The keys that are trusted as long as this endpoint runs."""
    if given is None:
        return load_public_keys(job.public_key)
    return public_keys_in(given.encode(), "--trusted")


def _state(job: EndpointJob, port: int) -> EndpointState:
    start = process_start(os.getpid())
    assert start is not None, "this process runs"
    return EndpointState(
        pid=os.getpid(),
        start_ticks=start,
        host=job.deploy.host,
        port=port,
        name=ReleaseFolder(job.releases, job.name).name,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        workers=job.deploy.workers,
        state_file=str(job.state_file),
    )


def _announce(state_file: Path, state: EndpointState) -> None:
    try:
        write_json(state_file, dataclasses.asdict(state))
    except OSError as error:
        raise WrongUsage(
            f"state file {state_file}: can't be written ({error.strerror}); name another place with --state"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", type=Path, metavar="JOB", help="job file, JSON")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="state file, in place of the job's `state_file`"
    )
    # From a supervisor to its workers; a lone endpoint with `--supervisor` ends with whoever started it.
    for name in ("--worker", "--listen-fd", "--board-fd", "--supervisor"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--trusted", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
