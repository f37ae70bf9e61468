"""Clients that ask for many texts at once, and again as soon as they are answered or refused.

    python -m tests.support.heavy_load URL --clients 16 --texts 64

Runs until its standard input is closed; the last line of its output is a JSON object: status → requests. A
process of its own, so that those who measure beside it are not held up by its threads.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support.toy_bundle import GOLDEN_TEXTS

ROOT = Path(__file__).resolve().parents[2]


class HeavyClient(threading.Thread):
    """One client, on one connection; it does not heed `Retry-After`."""

    def __init__(self, url: str, texts: int, enough: threading.Event) -> None:
        super().__init__(daemon=True)
        parts = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._body = json.dumps({"texts": (GOLDEN_TEXTS * texts)[:texts]})
        self._enough = enough
        self.statuses: Counter[int] = Counter()
        """Status → requests; 0 where no answer came."""

    def run(self) -> None:
        """Ask."""
        while not self._enough.is_set():
            try:
                self._connection.request("POST", "/predict", self._body, {"Content-Type": "application/json"})
                reply = self._connection.getresponse()
                reply.read()
                self.statuses[reply.status] += 1
            except (OSError, http.client.HTTPException):
                self.statuses[0] += 1
                self._connection.close()


@contextlib.contextmanager
def heavy_load(url: str, *, clients: int, texts: int) -> Iterator[Counter[int]]:
    """Such clients while the block runs, in a process of their own; at its end the counter holds status →
    requests."""
    counted: Counter[int] = Counter()
    command = [sys.executable, "-m", "tests.support.heavy_load", url]
    command += ["--clients", str(clients), "--texts", str(texts)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as load:
        assert load.stdin is not None and load.stdout is not None
        load.stdout.readline()
        try:
            yield counted
        finally:
            load.stdin.close()
            counted.update({int(status): n for status, n in json.loads(load.stdout.readline()).items()})


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.heavy_load")
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--texts", type=int, default=64)
    options = parser.parse_args()
    enough = threading.Event()
    clients = [HeavyClient(options.url, options.texts, enough) for _ in range(options.clients)]
    for client in clients:
        client.start()
    print("asking", flush=True)
    sys.stdin.read()
    enough.set()
    for client in clients:
        client.join(60)
    print(json.dumps(sum((client.statuses for client in clients), Counter())), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
