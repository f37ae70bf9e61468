"""One process that answers: engine, batcher and server put together.

It is the whole endpoint where there is one worker, else one of several that share a listening socket.
"""

from __future__ import annotations

import ctypes
import dataclasses
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from model.errors import HeadgateError
from serving.http.app import make_app
from serving.http.batching import Batcher
from serving.http.body import Limits
from serving.http.engine import Engine, EngineEvents
from serving.http.latest_time import LatestTime
from serving.http.loading import Trial
from serving.http.metrics import Metrics
from serving.http.middleware import Access
from serving.process.connections import Patience, connections_allowed
from serving.process.job import EndpointJob
from serving.process.server import DrainingServer
from serving.process.traces import with_traces
from serving.processes import process_start
from serving.store.board import Board, Counts, WorkerState
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import PublicKeys

log = logging.getLogger("serving")

AT_ONCE = 2
"""Most batches that are computed at once."""
PUBLISH_S = 1.0
"""How often a worker shares what it has counted, in seconds. So much of it may be lost when it is killed."""
PR_SET_PDEATHSIG = 1
"""`prctl`: the signal that this process gets when its parent dies."""


class OrphanedWorker(HeadgateError):
    """The supervisor died before this worker began."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker stands among several."""

    number: int
    """Its number, from 0."""
    board: Board
    """Where the workers share what they serve and count."""


def run_worker(
    job: EndpointJob,
    sock: socket.socket,
    keys: PublicKeys,
    token: str | None,
    *,
    place: Place | None = None,
) -> None:
    """Answer on `sock` until SIGTERM.

    Args:
        job: what to serve, and how.
        sock: the listening socket.
        keys: what releases must be signed with.
        token: bearer token that requests must carry, or None.
        place: this worker's among several; None where it is the only one.
    """
    number = 0 if place is None else place.number
    spec = job.deploy
    server: DrainingServer | None = None

    def state() -> WorkerState:
        served, refusal = engine.served, engine.refusal
        return WorkerState(
            worker=number,
            pid=os.getpid(),
            start_ticks=process_start(os.getpid()),
            version=served.version if served is not None else None,
            overridden=served is not None and served.manifest.override is not None,
            refused=dataclasses.asdict(refusal) if refusal is not None else None,
            turned_s=server.turned_s if server is not None else None,
        )

    def workers() -> Sequence[WorkerState]:
        if place is None:
            return [state()]
        return [state() if other.worker == number else other for other in place.board.read()]

    def publish() -> None:
        if place is not None:
            place.board.write(state(), metrics.counts())

    def counted_by_others() -> Iterator[Counts]:
        if place is not None:
            publish()  # before these figures are shown: what was shown once is not to be lost
            yield from (place.board.counts(other) for other in range(place.board.count) if other != number)

    if place is None:
        metrics = Metrics(workers)
    else:
        metrics = Metrics(workers, others=counted_by_others, before=place.board.counts(number))
    engine = Engine(
        ReleaseFolder(job.releases, job.name),
        keys,
        trial=Trial(threads=spec.threads, max_answer_ms=spec.max_answer_ms),
        poll_s=spec.poll_s,
        clock=LatestTime(job.state_file.with_suffix(".time")),
        events=EngineEvents(
            on_exchange=metrics.exchange,
            on_refusal=lambda refusal: metrics.refusal(),
            on_change=publish,
        ),
    )
    batcher = Batcher(
        max_batch=spec.max_batch,
        wait_ms=spec.batch_wait_ms,
        queue_limit=spec.queue_limit,
        at_once=min(AT_ONCE, spec.threads),
        on_batch=lambda texts, seconds: metrics.batch(texts, seconds, batcher.queued_texts),
    )
    answering = make_app(
        engine,
        batcher,
        metrics,
        limits=Limits(
            max_body_bytes=spec.max_body_bytes,
            max_texts=spec.max_texts,
            max_chars=spec.max_chars,
            body_timeout_s=spec.request_timeout_s,
        ),
        access=Access(token=token, root_path=spec.root_path),
        draining=lambda: server is not None and server.draining,
        workers=None if place is None else workers,
    )
    app, end_traces = with_traces(answering, spec, job.name or job.releases.name)
    server = DrainingServer(
        app,
        patience=Patience(
            request_s=spec.request_timeout_s,
            idle_s=spec.keep_alive_s,
            most=connections_allowed(spec.max_connections),
        ),
        drain_timeout_s=spec.drain_timeout_s,
        shared=place is not None,
    )
    engine.start()
    if place is not None:
        # The others serve already: one that is still loading must not take requests only to refuse them.
        engine.wait_for_first_look()
        _repeat(publish)
    server.run(sockets=[sock])
    # What was accepted is answered by then, or its time is over.
    batcher.close(answer=False)
    engine.stop()
    end_traces()


def _repeat(publish: Callable[[], None]) -> None:
    """Publish again and again, in a thread that ends with the process."""

    def run() -> None:
        while True:
            try:
                publish()
            except OSError:
                log.exception("could not share with the other workers what was counted here")
            time.sleep(PUBLISH_S)

    threading.Thread(target=run, name="publisher", daemon=True).start()


def end_with(supervisor: int) -> None:
    """Drain and end when the supervisor dies, however it dies.

    Raises:
        OrphanedWorker: it is dead already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        raise OrphanedWorker(f"the supervisor (process {supervisor}) is gone")
