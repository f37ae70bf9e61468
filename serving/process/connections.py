"""What one connection may cost: how long it may take, how many there may be, and an answer for those that
have closed their sending side.

uvicorn closes a connection that is idle after a reply, and no other: one that sends nothing, half a header,
or does not take its reply would stay for ever. `Connection` is uvicorn's protocol with a deadline for each
thing that it waits for. Does not know routes or models.
"""

from __future__ import annotations

import asyncio
import math
import resource
from dataclasses import dataclass
from typing import Any, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.http.middleware import PAUSE_KEY

RESERVED_FILES = 128
"""Open files that are kept for all else: bundles, logs, and connections that were accepted a moment ago."""
FEWEST = 8
"""Connections that are allowed however low the limit of open files is."""
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)

Wait = Literal["header", "body", "answer", "taking", "idle"]
"""What a connection waits for: the rest of a header (or of what follows a refused one), of a body, for the
answer, for the client to take it, or for the next request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long connections may take, and how many there may be."""

    request_s: float = 20.0
    """For a header, and for taking a reply, in seconds. A body's time is bounded where it is read."""
    idle_s: float = 75.0
    """Between two requests, in seconds."""
    most: int = 1000
    """Most connections at once."""


def connections_allowed(wanted: int) -> int:
    """How many connections this process can hold, at most `wanted`, after its limit of open files was raised
    as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + RESERVED_FILES:
        most = wanted + RESERVED_FILES
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - RESERVED_FILES)
    return max(FEWEST, allowed)


class Connections:
    """All open connections of one process."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._open: set[Connection] = set()
        # In the order in which they began to wait for what they wait for.
        self._waiting: dict[Connection, None] = {}

    def opened(self, connection: Connection) -> None:
        """One more; beyond the limit the one that has waited longest for its client gives way. If none waits,
        that is the new one."""
        self._open.add(connection)
        self._waiting[connection] = None
        if len(self._open) <= self.patience.most:
            return
        longest = next(iter(self._waiting))
        self.closed(longest)
        if longest is not connection:
            longest.transport.abort()
        else:
            connection.transport.write(_TURNED_AWAY)
            connection.transport.close()

    def closed(self, connection: Connection) -> None:
        """One less."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def moved_on(self, connection: Connection, wait: Wait) -> None:
        """It waits for something else."""
        self._waiting.pop(connection, None)
        if wait != "answer" and connection in self._open:
            self._waiting[connection] = None

    def close_late_ones(self) -> None:
        """Close every connection whose client has taken too long."""
        for connection in list(self._waiting):
            connection.close_if_late()


class Connection(H11Protocol):
    """One connection.

    Args:
        connections: all of the process.
        arguments: those of uvicorn's protocol.
    """

    def __init__(self, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._connections = connections
        self._waits_for: Wait = "header"
        self._late_at_s = math.inf
        self._half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: it is open."""
        super().connection_made(transport)
        self._late_at_s = self.loop.time() + self._connections.patience.request_s
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is closed."""
        self._connections.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._look()

    def eof_received(self) -> bool:  # type: ignore[override]
        """asyncio: the client sends nothing more. Whether the connection stays open: a client that has sent a
        whole request may still read (`shutdown(SHUT_WR)`)."""
        self._half_closed = True
        return self._kind() == "answer"

    def on_response_complete(self) -> None:
        """uvicorn: a reply was written."""
        state = self.scope["state"]
        super().on_response_complete()
        self._look()
        if self._half_closed and self._waits_for not in ("answer", "body"):
            self.transport.close()
        elif PAUSE_KEY in state and self._waits_for == "idle" and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_later(state[PAUSE_KEY], self._read_on)

    def shutdown(self) -> None:
        """uvicorn: the process is ending. Closed at once, unless an answer is under way."""
        if self._kind() in ("answer", "body"):
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def close_if_late(self) -> None:
        """Close it if its client has taken too long."""
        self._look()
        if self.loop.time() >= self._late_at_s:
            self.transport.abort()  # closing would wait until the client has taken what was written

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _look(self) -> None:
        """Note what it waits for; the deadline of one wait is never moved by bytes that do not end it."""
        wait = self._kind()
        if wait == self._waits_for:
            return
        self._waits_for = wait
        patience = self._connections.patience
        limits_s = {"header": patience.request_s, "taking": patience.request_s, "idle": patience.idle_s}
        self._late_at_s = self.loop.time() + limits_s.get(wait, math.inf)
        self._connections.moved_on(self, wait)

    def _kind(self) -> Wait:
        if self.cycle is not None and not self.cycle.response_complete:
            return "body" if self.cycle.more_body else "answer"
        if self.transport.get_write_buffer_size():
            return "taking"
        nothing_came = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        return "idle" if self.cycle is not None and nothing_came else "header"

    def _should_upgrade(self) -> bool:
        # Answered as a plain request; uvicorn would log two warnings about each.
        return False
