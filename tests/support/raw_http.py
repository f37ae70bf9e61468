"""Sockets that speak HTTP by hand: for what no client library would do."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.parse
from collections.abc import Iterator

PREDICT = b'{"texts": "rain"}'
"""Body of a request that is answered."""


def post(body: bytes = PREDICT, *headers: bytes, path: bytes = b"/predict") -> bytes:
    """The bytes of a POST request."""
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Type: application/json"]
    lines += [b"Content-Length: " + str(len(body)).encode(), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextlib.contextmanager
def opened(url: str, timeout_s: float = 10.0) -> Iterator[socket.socket]:
    """A connection to the endpoint."""
    connection = dial(url, timeout_s)
    try:
        yield connection
    finally:
        connection.close()


def dial(url: str, timeout_s: float = 10.0) -> socket.socket:
    """A connection to the endpoint, which the caller closes."""
    parts = urllib.parse.urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=timeout_s)


def dial_many(url: str, count: int, first: bytes = b"") -> list[socket.socket]:
    """So many connections, each of which sends `first` and no more."""
    made = [dial(url) for _ in range(count)]
    if first:
        for connection in made:
            with contextlib.suppress(OSError):  # it may have been closed to make room
                connection.sendall(first)
    return made


def reply(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one reply with a `Content-Length`.

    Raises:
        ConnectionError: the connection ended before it was whole.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(headers[b"content-length"]):
        body += _some(connection)
    return int(head.split()[1]), body


def closed_after_s(connection: socket.socket, drip: bytes = b"", most_s: float = 10.0) -> float:
    """How long until the other side closes, in seconds, while `drip` is sent ten times a second; infinite if
    it does not within `most_s`."""
    begin = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - begin < most_s:
        try:
            if drip:
                connection.sendall(drip)
            if connection.recv(65_536) == b"":
                return time.monotonic() - begin
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - begin
    return float("inf")


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the endpoint closed the connection")
    return data
