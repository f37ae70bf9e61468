"""Listening and ending: a socket that is ours or an error, and an end that loses no accepted request.

Does not know what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import select
import socket
import struct
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from model.errors import HeadgateError

LINGER_S = 0.3
"""How long an ending endpoint still accepts, in seconds: clients with open connections learn from
`Connection: close` that they must make new ones elsewhere, and `/ready` says 503."""

ARRIVE_S = 0.1
"""How long requests on connections that were accepted last may take to arrive, in seconds."""


BACKLOG = 1024
"""Connections that may wait to be accepted."""


class PortTaken(HeadgateError):
    """The address can't be listened on; the message says which and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host:port` (port 0: any free one).

    Raises:
        PortTaken: somebody listens there, or the address is not ours to listen on.
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


SO_ATTACH_FILTER = 26
_DROP_SYN = (
    (0x30, 0, 0, 13),  # the flags of the TCP header
    (0x54, 0, 0, 0x12),  # of these, SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # then drop
    (0x06, 0, 0, 0xFFFFFFFF),  # else let it pass
)
"""Classic BPF: drops the packet that begins a new connection."""


def take_no_more(sock: socket.socket) -> None:
    """Let nobody new connect to a listening socket, while those that did can still be accepted.

    Between looking whether somebody waits and closing the socket a process may be held up for long, and who
    connects just then would see a reset. The first packet of a new connection is dropped instead: the client
    repeats it a second later and is refused. Where the system does not allow it, all stays as it was.
    """
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(_DROP_SYN), ctypes.addressof(buffer))
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


class DrainingServer(uvicorn.Server):
    """uvicorn that, on SIGTERM or SIGINT, first turns clients away politely and then ends with what it
    accepted answered. A second signal ends it at once.

    Args:
        app: the ASGI application.
        drain_timeout_s: how long accepted requests may still take.
        on_listening: called once connections are accepted.
        shared: other processes accept from the same socket.
    """

    def __init__(
        self, app: Any, *, drain_timeout_s: float, on_listening: Callable[[], None], shared: bool = False
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(drain_timeout_s)),
                # asyncio accepts this many connections in one turn: with several processes on the socket, the
                # one that wakes first would take a whole burst while the others idle.
                backlog=1 if shared else BACKLOG,
            )
        )
        self.draining = False
        self._on_listening = on_listening
        self._shared = shared

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        await super().startup(sockets)
        for sock in sockets or []:
            sock.listen(BACKLOG)  # asyncio has set it to what it accepts in one turn
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; let what is on its way on accepted connections arrive; answer it; close."""
        # Closing a listening socket resets connections that wait to be accepted, and asyncio (3.11) silently
        # drops those that it accepted a moment ago. So close right after two turns of the event loop in a
        # row in which nobody knocked: then none waits and none is between accepted and known.
        if not self._shared:  # the others may go on: then it is for the supervisor
            for sock in sockets or []:
                take_no_more(sock)
        listening = [sock.fileno() for sock in sockets or []]
        quiet_turns = 0
        while quiet_turns < 2 and not self.force_exit:
            knocking = select.select(listening, [], [], 0)[0]
            quiet_turns = 0 if knocking else quiet_turns + 1
            if quiet_turns < 2:
                await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        if not self.force_exit:
            # uvicorn closes connections whose request it has not read yet, and the client would see a reset.
            await asyncio.sleep(ARRIVE_S)
        await super().shutdown(sockets)

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
