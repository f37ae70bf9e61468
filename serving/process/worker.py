"""One process that answers: engine, batcher and server put together.

It is the whole endpoint where there is one worker, else one of several that share a listening socket.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import os
import signal
import socket
from collections.abc import Callable

from serving.http.app import make_app
from serving.http.batching import Batcher
from serving.http.body import Limits
from serving.http.engine import Engine
from serving.http.metrics import Metrics
from serving.process.control import start_ticks
from serving.process.server import DrainingServer
from serving.store.board import Board, WorkerState
from serving.store.release_folder import ReleaseFolder

PR_SET_PDEATHSIG = 1
"""`prctl`: the signal that this process gets when its parent dies."""


class OrphanedWorker(Exception):
    """The supervisor died before this worker began."""


def run_worker(
    options: argparse.Namespace,
    sock: socket.socket,
    token: str | None,
    *,
    board: Board | None = None,
    on_listening: Callable[[], None] = lambda: None,
) -> None:
    """Answer on `sock` until SIGTERM.

    Args:
        options: as parsed by `serving.__main__`.
        sock: the listening socket.
        token: bearer token that requests must carry, or None.
        board: where this worker tells the others what it serves; None where it is the only one.
        on_listening: called once connections are accepted.
    """
    number = options.worker or 0

    def state() -> WorkerState:
        served, refusal = engine.served, engine.refusal
        return WorkerState(
            worker=number,
            pid=os.getpid(),
            start_ticks=start_ticks(os.getpid()),
            version=served.version if served is not None else None,
            overridden=served is not None and served.manifest.override is not None,
            refused=dataclasses.asdict(refusal) if refusal is not None else None,
        )

    def workers() -> list[WorkerState]:
        return [state()] if board is None else [state() if w.worker == number else w for w in board.read()]

    metrics = Metrics(workers)
    engine = Engine(
        ReleaseFolder(options.releases, options.name),
        options.public_key,
        threads=options.threads,
        poll_s=options.poll_s,
        max_answer_ms=options.max_answer_ms,
        on_exchange=lambda served: metrics.exchange(),
        on_refusal=lambda refusal: metrics.refusal(),
        on_change=(lambda: None) if board is None else (lambda: board.write(state())),
    )
    batcher = Batcher(
        max_batch=options.max_batch,
        wait_ms=options.batch_wait_ms,
        queue_limit=options.queue_limit,
        on_batch=lambda texts, seconds: metrics.batch(texts, seconds, batcher.queued_texts),
    )
    limits = Limits(
        max_body_bytes=options.max_body_bytes, max_texts=options.max_texts, max_chars=options.max_chars
    )
    app = make_app(
        engine,
        batcher,
        metrics,
        limits=limits,
        token=token,
        draining=lambda: server.draining,
        workers=None if board is None else workers,
    )
    server = DrainingServer(
        app, drain_timeout_s=options.drain_timeout_s, on_listening=on_listening, shared=board is not None
    )
    engine.start()
    if board is not None:
        # The others serve already: one that is still loading must not take requests only to refuse them.
        engine.wait_for_first_look()
    server.run(sockets=[sock])
    batcher.close()
    engine.stop()


def end_with(supervisor: int) -> None:
    """Drain and end when the supervisor dies, however it dies.

    Raises:
        OrphanedWorker: it is dead already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        raise OrphanedWorker(f"the supervisor (process {supervisor}) is gone")
