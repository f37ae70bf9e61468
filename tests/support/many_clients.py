"""Many connections from one thread, each with one request under way: little work beside what is measured."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(slots=True)
class _Open:
    sock: socket.socket
    next: int
    sent_s: float = 0.0
    reply: bytes = b""


def http_request(route: str, body: bytes) -> bytes:
    """The bytes of a POST with a JSON body."""
    head = (
        f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


def ask_at_once(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    on_steady: Callable[[], None] = lambda: None,
) -> tuple[float, list[float]]:
    """(replies a second, milliseconds of each) of a server on loopback.

    Several connections are counted once they all had a reply: before, a slow server has begun what it has not
    answered, and would seem to be slower than it is.

    Args:
        on_steady: called when the counting begins.

    Raises:
        RuntimeError: a reply is no 200, or none comes for 30 s.
    """
    taken_ms: list[float] = []
    early = connections if connections > 1 else 0
    with contextlib.ExitStack() as stack:
        poll, opened = select.epoll(), dict[int, _Open]()
        stack.callback(poll.close)
        for at in range(connections):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(sock, select.EPOLLIN)
            opened[sock.fileno()] = _Open(sock, at)
        begin = time.perf_counter()
        if not early:
            on_steady()
        for one in opened.values():
            _send(one, requests, connections)
        while early or time.perf_counter() < begin + seconds:
            ready = poll.poll(30)
            if not ready:
                raise RuntimeError("no reply for 30 s")
            for number, _ in ready:
                one = opened[number]
                one.reply += one.sock.recv(65536)
                if not _whole(one.reply):
                    continue
                if early:
                    early -= 1
                    if not early:
                        begin = time.perf_counter()
                        on_steady()
                else:
                    taken_ms.append((time.perf_counter() - one.sent_s) * 1000)
                _send(one, requests, connections)
        lasted = time.perf_counter() - begin
    return len(taken_ms) / lasted, taken_ms


def median(figures: Sequence[float]) -> float:
    """Their median, as a plain number."""
    return float(np.median(figures)) if figures else float("nan")


def _send(one: _Open, requests: Sequence[bytes], connections: int) -> None:
    one.reply, one.sent_s = b"", time.perf_counter()
    one.sock.sendall(requests[one.next % len(requests)])
    one.next += connections


def _whole(reply: bytes) -> bool:
    head, found, body = reply.partition(b"\r\n\r\n")
    if not found:
        return not _broken(reply)
    if b" 200 " not in head[:16]:
        raise RuntimeError(f"seen {head[:60]!r}, expected 200")
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    return body.endswith(b"0\r\n\r\n") if not length else len(body) >= int(length)


def _broken(reply: bytes) -> bool:
    if not reply:
        raise RuntimeError("the server closed a connection")
    return True
