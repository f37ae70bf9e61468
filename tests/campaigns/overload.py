"""Eight times more requests than an endpoint can answer, and ends by SIGTERM in the middle.

First the capacity of a slow toy model is measured (a few clients, each asking again when it is answered).
Then requests are sent on schedule at eight times that rate, whether or not earlier ones were answered:
every reply must be 200 or 503 with `Retry-After`, and those that are accepted must not wait longer than
the queue allows. Last, endpoints with one and with two workers get SIGTERM under load, again and again:
no request that was accepted may be lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import signal
import sys
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import replace

import numpy as np

from serving import client
from serving.processes import process_start
from serving.spec import DeploySpec
from tests.support.contract import Report, Size, run
from tests.support.load import Client
from tests.support.measures import Measure, at_least, at_most
from tests.support.open_endpoint import open_endpoint
from tests.support.toy_bundle import work_of

GOAL = "every reply is 200 or 503 with Retry-After, none is lost"
QUICK_S, WHOLE_S = 15, 120
SIZES = {
    "seconds": Size(10.0, 2.0, "how long the overload lasts"),
    "ends": Size(20, 2, "ends by SIGTERM with one worker; half as many with two"),
}
SENT = "sent, by capacity"
TIMES = 8
"""Rate of the requests, by what the endpoint can answer."""
WORK_MS = 30.0
"""What the model takes for each text, on one core."""
ENDS_WORK_MS = 5.0
"""The same for the ends by SIGTERM, where many answers are wanted."""
QUEUE = 16
"""Texts that may wait."""
SENDERS = 48
"""Connections on which the schedule is kept."""
SPEC = DeploySpec(port=0, threads=1, max_batch=1, queue_limit=QUEUE, start_timeout_s=30, drain_timeout_s=20)
BODY = json.dumps({"texts": "rain"}).encode()


class Sender(threading.Thread):
    """One connection that takes the next request of the schedule whenever it is free.

    Args:
        url: base URL of the endpoint.
        schedule: times at which requests are due (monotonic clock), shared with the other senders, so that
            one which waits for its answer holds up no request but its own.
    """

    def __init__(self, url: str, schedule: queue.SimpleQueue[float]) -> None:
        super().__init__(daemon=True)
        parts = urllib.parse.urlsplit(url)
        self._address = parts.hostname or "", parts.port or 0
        self._schedule = schedule
        self.statuses: Counter[int] = Counter()
        self.accepted_ms: list[float] = []
        """From the time at which a request was to be sent to its answer, of those answered 200."""
        self.flaws: Counter[str] = Counter()
        self.last_sent_s = 0.0
        """When the last request was sent (monotonic clock)."""

    def run(self) -> None:
        """Send until nothing is due any more."""
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        while True:
            try:
                due = self._schedule.get_nowait()
            except queue.Empty:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            self.last_sent_s = time.monotonic()
            try:
                connection.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException) as error:
                self.flaws[f"lost: {error!r}"[:100]] += 1
                connection.close()
                continue
            self.statuses[reply.status] += 1
            if reply.status == 200:
                self.accepted_ms.append((time.monotonic() - due) * 1000)
            elif reply.status == 503:
                if not (reply.headers.get("Retry-After") or "").isdigit():
                    self.flaws["503 without Retry-After"] += 1
                if json.loads(body)["error"]["code"] != "busy":
                    self.flaws["503 for another reason"] += 1
        connection.close()


def capacity(url: str, seconds: float) -> float:
    """Requests a second that the endpoint answers to four clients that ask without pause."""
    clients = [Client(url, keep_alive=True) for _ in range(4)]
    begin = time.monotonic()
    for one in clients:
        one.start()
    time.sleep(seconds)
    for one in clients:
        one.end()
    return sum(len(one.seen) for one in clients) / (time.monotonic() - begin)


def overload(seconds: float) -> list[Measure]:
    """Requests at eight times the capacity; figures."""
    with open_endpoint(SPEC, work=work_of(WORK_MS)) as endpoint:
        url = endpoint.state.url
        able = capacity(url, 3.0)
        rate, begin_s = TIMES * able, time.monotonic() + 0.5
        schedule: queue.SimpleQueue[float] = queue.SimpleQueue()
        for number in range(int(rate * seconds)):
            schedule.put(begin_s + number / rate)
        senders = [Sender(url, schedule) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(seconds + 60)
        took = max(sender.last_sent_s for sender in senders) - begin_s
        alive = client.ask(url, "rain")["version"]
    statuses = sum((sender.statuses for sender in senders), Counter())
    flaws = sum((sender.flaws for sender in senders), Counter())
    for flaw, times in flaws.items():
        print(f"overload: {flaw}: {times} times", file=sys.stderr)
    accepted = np.asarray([ms for sender in senders for ms in sender.accepted_ms])
    other = sum(count for status, count in statuses.items() if status not in (200, 503))
    return [
        Measure("capacity", able, "requests/s"),
        Measure(SENT, statuses.total() / took / able, "×", at_least(0.95 * TIMES)),
        Measure("answered 200", statuses[200], "", at_least(1)),
        Measure("answered 503", statuses[503], "", at_least(1)),
        Measure("answered otherwise", other, "", at_most(0)),
        Measure("lost, or 503 without Retry-After", flaws.total(), "", at_most(0)),
        Measure("answered 200 a second, by capacity", statuses[200] / took / able, "×"),
        Measure("p99 of those answered 200", float(np.percentile(accepted, 99)), "ms"),
        Measure("version that answers afterwards", alive, "", at_most(1)),
    ]


def ends(count: int, workers: int) -> list[Measure]:
    """`count` times SIGTERM under load; figures."""
    lost, reset, statuses, slow, orphans = 0, 0, Counter(), 0, 0
    spec = replace(SPEC, workers=workers, queue_limit=64)
    for _ in range(count):
        with open_endpoint(spec, work=work_of(ENDS_WORK_MS)) as endpoint:
            url, pid = endpoint.state.url, endpoint.state.pid
            clients = [Client(url, keep_alive=number % 2 == 0) for number in range(6 * workers)]
            for one in clients:
                one.start()
            time.sleep(0.5)
            os.kill(pid, signal.SIGTERM)
            begin = time.monotonic()
            while process_start(pid) is not None and time.monotonic() - begin < 20:
                time.sleep(0.02)
            slow += process_start(pid) is not None
            for one in clients:
                one.join(15)
                lost += len(one.lost) + one.is_alive()
                reset += len(one.reset)
                statuses.update(status for status, _, _ in one.seen)
                for flaw in one.lost:
                    print(f"{workers} workers: {flaw}", file=sys.stderr)
            orphans += _listens(url)
    name = f"{workers} worker{'s' * (workers > 1)}"
    other = sum(times for status, times in statuses.items() if status not in (200, 503))
    return [
        Measure(f"{name}: ends by SIGTERM under load", count, ""),
        Measure(f"{name}: answered 200", statuses[200], "", at_least(count)),
        Measure(f"{name}: accepted and lost", lost, "", at_most(0)),
        Measure(f"{name}: reset before they were accepted", reset, ""),
        Measure(f"{name}: answered otherwise than 200 or 503", other, "", at_most(0)),
        Measure(f"{name}: ends that took over 20 s or left a listener", slow + orphans, "", at_most(0)),
    ]


def _listens(url: str) -> bool:
    try:
        client.get(url, "/health", timeout_s=2)
    except client.NoAnswer:
        return False
    return True


def measure(options: argparse.Namespace) -> Report:
    """An overload, then ends with one and with two workers."""
    measures = overload(options.seconds) + ends(options.ends, 1) + ends(max(1, options.ends // 2), 2)
    if options.quick:
        reason = "a schedule of a few seconds is not kept on a busy machine"
        measures = [replace(m, undecided=reason) if m.name == SENT else m for m in measures]
    return Report(measures)


if __name__ == "__main__":
    sys.exit(run(measure))
