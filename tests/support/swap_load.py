"""The load of `tests.campaigns.swap`, in a process of its own: asks without pause, notes every reply.

    python -m tests.support.swap_load URL OUT.npz --connections 4 --most 400000 --seconds 600

Connections are kept open. Ends when its standard input is closed, after `--most` requests or after
`--seconds`. Prints how many requests it has done, twice a second. OUT.npz holds for every request when it
began (monotonic clock, s) and how long it took (ms); OUT.json which replies there were, each with its
count: [status, version, text, [probability, …], count], and what failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import threading
import time
import urllib.parse
from array import array
from collections import Counter
from pathlib import Path

import numpy as np

TEXTS = ("hello good day", "late order", "rain", "thanks help", "bad rain early", "sun sun sun good")
"""What is asked, in turn."""
DECIMALS = 4
"""Digits by which probabilities are compared: batching moves the seventh."""


def request_bytes(text: str) -> bytes:
    """A whole HTTP request for one text and all of its probabilities."""
    body = json.dumps({"texts": text, "all": True}).encode()
    head = ["POST /predict HTTP/1.1", "Host: x", "Content-Type: application/json"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Connection(threading.Thread):
    """One connection that asks without pause."""

    def __init__(self, address: tuple[str, int], stop: threading.Event, most: int) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._stop_asking = stop
        self._most = most
        self.began_s, self.took_ms = array("d"), array("d")
        self.replies: Counter[tuple[int, int, str, tuple[float, ...]]] = Counter()
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        """Ask; a connection that is lost is a failure and is made anew."""
        while not self._stop_asking.is_set() and len(self.began_s) < self._most:
            try:
                with socket.create_connection(self._address, timeout=10) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._ask(connection)
            except (OSError, ValueError, KeyError) as error:
                self.failures[repr(error)[:200]] += 1
                time.sleep(0.01)

    def _ask(self, connection: socket.socket) -> None:
        requests = [request_bytes(text) for text in TEXTS]
        while not self._stop_asking.is_set() and len(self.began_s) < self._most:
            which = len(self.began_s) % len(TEXTS)
            begin = time.monotonic()
            connection.sendall(requests[which])
            status, header_version, body = _read_reply(connection)
            self.took_ms.append((time.monotonic() - begin) * 1000)
            self.began_s.append(begin)
            raw = json.loads(body)
            if status != 200:
                self.failures[f"status {status}: {str(raw)[:150]}"] += 1
                continue
            if raw["version"] != header_version:
                self.failures["header and body name different versions"] += 1
            found = {
                (head, entry["label"]): entry["probability"]
                for head, answer in raw["answers"][0].items()
                for entry in answer["probabilities"]
            }
            probabilities = tuple(round(found[key], DECIMALS) for key in sorted(found))
            self.replies[(status, raw["version"], TEXTS[which], probabilities)] += 1


def _read_reply(connection: socket.socket) -> tuple[int, int, bytes]:
    """Status, version in the header, body.

    Raises:
        ConnectionError: the connection ended in the middle.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines[1:])
    while len(body) < int(headers[b"content-length"]):
        body += _some(connection)
    version = headers.get(b"x-headgate-version", b"0")
    return int(lines[0].split()[1]), int(version) if version.isdigit() else 0, body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the endpoint closed the connection")
    return data


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.swap_load")
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--most", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args(arguments)
    parts, stop = urllib.parse.urlsplit(options.url), threading.Event()
    address = parts.hostname or "127.0.0.1", parts.port or 80
    share = -(-options.most // options.connections)
    connections = [Connection(address, stop, share) for _ in range(options.connections)]
    for connection in connections:
        connection.start()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    deadline = time.monotonic() + options.seconds
    while time.monotonic() < deadline and any(connection.is_alive() for connection in connections):
        with contextlib.suppress(BrokenPipeError):
            print(sum(len(connection.began_s) for connection in connections), flush=True)
        if stop.wait(0.5):
            break
    stop.set()
    for connection in connections:
        connection.join(15)
    replies = sum((connection.replies for connection in connections), Counter())
    failures = sum((connection.failures for connection in connections), Counter())
    np.savez(
        options.out,
        began_s=np.concatenate([np.asarray(connection.began_s) for connection in connections]),
        took_ms=np.concatenate([np.asarray(connection.took_ms) for connection in connections]),
    )
    seen = {"replies": [[*reply, count] for reply, count in replies.items()], "failures": failures}
    options.out.with_suffix(".json").write_text(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
