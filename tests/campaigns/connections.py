"""Connections that cost without asking: silent ones, half headers, half bodies, and half-closed ones.

An endpoint gets more connections than it holds, each of which does nothing, sends half a header or half a
body. Others must be answered all the while, and SIGTERM must end it. Then patience is tried: silent
connections are closed, idle ones are not, and a client that has closed its sending side gets its answer. What
anybody may send must hardly grow the log. Last, two workers' disk is filled: none may die or be hidden.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from serving import client
from serving.processes import process_start
from serving.spec import DeploySpec
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_least, at_most
from tests.support.open_endpoint import open_endpoint
from tests.support.raw_http import closed_after_s, dial_many, opened, post, reply
from tests.support.small_disk import can_mount, on_small_disk
from tests.support.toy_bundle import make_shop

GOAL = "everybody who asks is answered, and it ends in time"
QUICK_S, WHOLE_S = 35, 60
SIZES = {
    "silent": Size(5000, 1100, "connections that do not ask"),
    "asked": Size(200, 30, "requests beside them"),
    "flood": Size(20_000, 500, "requests that ask for another protocol"),
}
KINDS = {
    "nothing": b"",
    "half a header": b"POST /predict HTTP/1.1\r\nHost: x\r\n",
    "half a body": post()[:-3],
}
UPGRADE = post(b'{"texts": "rain"}', b"Connection: Upgrade", b"Upgrade: websocket")
SPEC = DeploySpec(port=0, threads=1, start_timeout_s=30, drain_timeout_s=5)
ENDS_WITHIN_S = SPEC.drain_timeout_s + 5


def beside(kind: str, silent: int, asked: int) -> list[Measure]:
    """Requests while many connections of one kind are open; figures."""
    patient = replace(SPEC, request_timeout_s=300)
    failed, took_ms = 0, []
    with open_endpoint(patient) as endpoint:
        connections = dial_many(endpoint.state.url, silent, KINDS[kind])
        try:
            for _ in range(asked):
                begin = time.monotonic()
                try:
                    client.ask(endpoint.state.url, "rain", timeout_s=5)
                    took_ms.append((time.monotonic() - begin) * 1000)
                except client.NoAnswer as error:
                    failed += 1
                    print(f"{kind}: {error}", file=sys.stderr)
            begin = time.monotonic()
            os.kill(endpoint.state.pid, signal.SIGTERM)
            while process_start(endpoint.state.pid) is not None and time.monotonic() - begin < 60:
                time.sleep(0.02)
            ended_s = time.monotonic() - begin
        finally:
            for connection in connections:
                connection.close()
    slowest = float(np.max(took_ms)) if took_ms else None
    return [
        Measure(f"{silent:,} × {kind}: requests not answered", failed, "", at_most(0)),
        Measure(f"{silent:,} × {kind}: slowest answer", slowest, "ms"),
        Measure(f"{silent:,} × {kind}: ended by SIGTERM after", ended_s, "s", at_most(ENDS_WITHIN_S)),
    ]


def patience(flood: int) -> list[Measure]:
    """Time-outs, half-closed connections and the log; figures."""
    with open_endpoint(replace(SPEC, request_timeout_s=2)) as endpoint:
        url = endpoint.state.url
        with opened(url) as silent:
            closed_s = closed_after_s(silent)
        idle = 0
        with opened(url) as kept:
            for _ in range(2):
                kept.sendall(post())
                idle += reply(kept)[0] == 200
                time.sleep(6)
            with contextlib.suppress(OSError):
                kept.sendall(post())
                idle += reply(kept)[0] == 200
        half_closed = 0
        for _ in range(20):
            with opened(url) as connection, contextlib.suppress(OSError):
                connection.sendall(post())
                connection.shutdown(socket.SHUT_WR)
                half_closed += reply(connection)[0] == 200
        before = endpoint.log_file.stat().st_size
        with opened(url) as connection:
            for _ in range(flood):
                connection.sendall(UPGRADE)
                reply(connection)
        grown = endpoint.log_file.stat().st_size - before
    return [
        Measure("a silent connection is closed after", closed_s, "s", at_most(4)),
        Measure("answers on a connection that was idle for 6 s twice", idle, "", at_least(3)),
        Measure("of 20 half-closed connections, answered", half_closed, "", at_least(20)),
        Measure(f"log grown by {flood:,} upgrade requests", grown / 1024, "KiB", at_most(16)),
    ]


def full_disk(asked: int) -> list[Measure]:
    """Requests to two workers whose disk is full, and a swap; figures."""
    goal = at_most(0)
    names = ("full disk: requests not answered", "full disk: workers that ended")
    with tempfile.TemporaryDirectory(prefix="headgate-disk-") as folder:
        if not can_mount(Path(folder)):
            reason = "a file system can't be mounted here (unshare -rm)"
            return [Measure(name, None, "", goal, reason) for name in names]
        shop, failed = make_shop(Path(folder)), 0
        shop.release(1)
        with on_small_disk(shop, replace(SPEC, workers=2)) as served:
            before = served.children()
            served.fill()
            for number in range(asked):
                try:
                    client.ask(served.url, "rain", timeout_s=5)
                    client.request(served.url, "GET", f"/nowhere/{number}")
                except client.NoAnswer as error:
                    failed += 1
                    print(f"full disk: {error}", file=sys.stderr)
            shop.release(2)
            client.wait_for_version(served.url, 2, timeout_s=20)
            ended = len(set(before) - set(served.children()))
    return [Measure(name, value, "", goal) for name, value in zip(names, (failed, ended), strict=True)]


def measure(options: argparse.Namespace) -> Report:
    """Each kind of connection, then patience, then a full disk."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    silent = min(options.silent, soft - 200)
    measures = [each for kind in KINDS for each in beside(kind, silent, options.asked)]
    return Report(measures + patience(options.flood) + full_disk(options.asked))


if __name__ == "__main__":
    sys.exit(run(measure))
