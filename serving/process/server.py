"""Listening on an address, and ending without losing an accepted request, in time whatever clients do.

Does not know what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import math
import select
import socket
import time
from types import FrameType
from typing import Any

import uvicorn

from serving.errors import PortTaken
from serving.process.connections import Connection, Connections, Patience

LINGER_S = 0.3
"""How long an ending endpoint still accepts, in seconds: clients with open connections learn from
`Connection: close` that they must make new ones elsewhere, and `/ready` says 503."""

QUIET_S = 0.3
"""Longest wait for a moment when no connection waits to be accepted, in seconds."""

ARRIVE_S = 0.1
"""How long requests on connections that were accepted last may take to arrive, in seconds."""

BACKLOG = 1024
"""Connections that may wait to be accepted."""

ACCEPTED_AT_ONCE = 16
"""Connections that are accepted in one turn of the loop, so that their number is known before it is too
large."""

LOOK_S = 0.5
"""How often it is looked for connections whose clients take too long, in seconds."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host:port` (port 0: any free one).

    Raises:
        PortTaken: another process listens there, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        # Named TCP: asyncio sets TCP_NODELAY on such sockets only, and without it every reply on a connection
        # that is kept open waits 40 ms for the client's delayed acknowledgement.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, OverflowError) as error:
        raise PortTaken(f"host {host!r}: not an address of this machine ({error})") from error
    try:
        # Only so that a port is free again at once after its last user ended; two listeners stay refused.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} on {host} is taken by another process; stop that one, or choose another port "
                "(deploy.port; 0 takes any free one)"
            ) from error
        raise PortTaken(f"can't listen on {host}, port {port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


class DrainingServer(uvicorn.Server):
    """uvicorn that, on SIGTERM or SIGINT, closes connections as it replies, answers what it accepted, and
    ends. A second signal ends it at once.

    Args:
        app: the ASGI application.
        patience: how long connections may take, and how many there may be.
        drain_timeout_s: how long accepted requests may still take.
        shared: other processes accept from the same socket.
    """

    def __init__(
        self,
        app: Any,
        *,
        patience: Patience,
        drain_timeout_s: float,
        shared: bool = False,
    ) -> None:
        self._connections = Connections(patience)
        protocol: Any = functools.partial(Connection, self._connections)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=math.ceil(patience.idle_s),
                timeout_graceful_shutdown=max(1, round(drain_timeout_s)),
                # asyncio accepts this many connections in one turn: with several processes on the socket, the
                # one that wakes first would take a whole burst while the others idle.
                backlog=1 if shared else ACCEPTED_AT_ONCE,
            )
        )
        self.draining = False
        self.turned_s: float | None = None
        """When the loop took a turn last, by the monotonic clock, until its very end; None before it runs."""
        self._shared = shared

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and look after them."""
        await super().startup(sockets)
        for sock in sockets or []:
            sock.listen(BACKLOG)  # asyncio has set it to what it accepts in one turn
        self._looking = asyncio.create_task(self._look_after_connections())

    async def _look_after_connections(self) -> None:
        while True:
            self.turned_s = time.monotonic()
            await asyncio.sleep(LOOK_S)
            self._connections.close_late_ones()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; let what is on its way on accepted connections arrive; answer it; close."""
        # Closing a listening socket resets connections that nobody accepted yet, so it is closed at a moment
        # when none waits, if there is one. asyncio (3.11) silently drops those that it accepted a moment ago,
        # so two turns of its loop go by after the last was accepted.
        listening = [sock.fileno() for sock in sockets or []]
        deadline = time.monotonic() + QUIET_S
        while select.select(listening, [], [], 0)[0] and time.monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(0)
        for descriptor in listening:
            asyncio.get_running_loop().remove_reader(descriptor)
        for _ in range(2):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        if not self.force_exit:
            # uvicorn closes connections whose request it has not read yet, and the client would see a reset.
            await asyncio.sleep(ARRIVE_S)
        await super().shutdown(sockets)
        self._looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._looking

    async def on_tick(self, counter: int) -> bool:
        """Asked ten times a second whether to end."""
        if self.draining and not self.should_exit:
            await asyncio.sleep(LINGER_S)
            self.should_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler. Unlike uvicorn's, it doesn't raise the signal again at the end: an endpoint that
        was asked to end and did has exit code 0."""
        if self.draining:
            self.force_exit = self.should_exit = True
        self.draining = True
