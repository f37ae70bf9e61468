"""Several workers behind one port: they speak for each other, swap, die, come back and end together."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from serving import client
from serving.process import control as process
from serving.processes import process_start
from serving.store.board import HALF_BYTES, Board, WorkerState
from serving.store.pointer import write_pointer
from serving.store.signing import ensure_key_pair
from tests.support.load import Client
from tests.support.toy_bundle import work_of

Until = Callable[..., None]


@pytest.fixture
def spec(spec: Any) -> Any:
    return dataclasses.replace(spec, workers=2)


def workers(url: str) -> list[dict[str, Any]]:
    found = client.get(url, "/ready")[1]["workers"]
    assert [worker["worker"] for worker in found] == [0, 1]
    return list(found)


def versions(state: process.EndpointState) -> list[int]:
    """Of the workers that serve one; empty where whoever is asked does not answer in time."""
    try:
        return [worker["version"] for worker in workers(state.url) if worker["version"]]
    except client.NoAnswer:
        return []


def pids(state: process.EndpointState) -> list[int]:
    """Of the workers that run; the supervisor has no other children."""
    return sorted(child.pid for child in psutil.Process(state.pid).children())


def metric(url: str, name: str) -> dict[str, float]:
    """Samples of one metric: what stands before the value → the value."""
    lines = client.request(url, "GET", "/metrics")[2].decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)
    }


def test_any_worker_speaks_for_all_and_a_dead_one_comes_back(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.release(1)
    state = start(spec)
    assert state.workers == 2
    until(lambda: [worker["version"] for worker in workers(state.url)] == [1, 1])
    for _ in range(40):
        assert client.ask(state.url, "rain")["version"] == 1
    replies = 'headgate_requests_total{route="/predict",status="200"}'
    until(lambda: metric(state.url, replies) == {replies: 40.0})
    assert metric(state.url, "headgate_version{") == {
        f'headgate_version{{worker="{i}"}}': 1.0 for i in (0, 1)
    }
    assert all(size > 2**20 for size in metric(state.url, "headgate_worker_resident_bytes").values())

    first, second = pids(state)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(pids(state)) == 2 and first not in pids(state))
    assert second in pids(state)
    until(lambda: [worker["version"] for worker in workers(state.url)] == [1, 1])
    assert metric(state.url, replies)[replies] == 40.0, "what a dead worker counted stays counted"
    log = (shop.root / "endpoints" / "0.log").read_text()
    ended = [json.loads(line) for line in log.splitlines() if json.loads(line)["event"] == "worker ended"]
    assert [(line["worker"], line["code"]) for line in ended] == [(0, -signal.SIGKILL)]


def test_a_worker_that_is_stopped_is_started_again_and_those_that_answer_are_not(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.release(1)
    state = start(dataclasses.replace(spec, worker_timeout_s=3))
    until(lambda: versions(state) == [1, 1])
    first, second = pids(state)
    os.kill(first, signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: len(pids(state)) == 2 and first not in pids(state))
    assert time.monotonic() - began < 8 and second in pids(state)
    until(lambda: versions(state) == [1, 1])
    log = (shop.root / "endpoints" / "0.log").read_text()
    told = [json.loads(line) for line in log.splitlines()]
    hung = [line["pid"] for line in told if line["event"] == "worker hangs"]
    assert hung == [first]


def test_a_pause_of_all_ends_nobody(shop: Any, start: Any, spec: Any, until: Until) -> None:
    """As when a machine sleeps, or a terminal stops the whole endpoint."""
    shop.release(1)
    state = start(dataclasses.replace(spec, worker_timeout_s=2))
    until(lambda: versions(state) == [1, 1])
    before = pids(state)
    for pid in (state.pid, *before):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    for pid in (state.pid, *before):
        os.kill(pid, signal.SIGCONT)
    time.sleep(1)
    assert pids(state) == before and client.ask(state.url, "rain")["version"] == 1


def test_a_deployment_waits_for_all_and_a_bad_version_is_refused_by_all(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.release(1)
    url = start(spec).url
    load = [Client(url, keep_alive=keep_alive) for keep_alive in (True, True, False)]
    for one in load:
        one.start()
    for version in (2, 3, 4):
        shop.release(version)
        client.wait_for_version(url, version, timeout_s=15)
        assert [worker["version"] for worker in workers(url)] == [version] * 2
        # Whoever asks now, on any connection, is answered by the new version.
        assert {client.ask(url, "rain")["version"] for _ in range(20)} == {version}
    (shop.stage(5) / "bundle" / "model.onnx").write_bytes(b"")
    shop.point_at(5)
    with pytest.raises(client.VersionRefused, match="version 5 was refused"):
        client.wait_for_version(url, 5, timeout_s=15)
    until(lambda: all(worker["refused"] for worker in workers(url)))
    assert [worker["version"] for worker in workers(url)] == [4, 4]
    assert set(metric(url, "headgate_refused").values()) == {1.0}
    for one in load:
        one.end()
    assert not [lost for one in load for lost in one.lost]
    assert {status for one in load for status, _, _ in one.seen} == {200}
    for version in {version for one in load for _, version, _ in one.seen}:
        wanted = pytest.approx(shop.probabilities(version, "hello good day")["mood"], abs=1e-4)
        assert all(mood == wanted for one in load for _, seen, mood in one.seen if seen == version)


def test_all_end_on_sigterm_with_every_accepted_request_answered(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.bundle(1, work=work_of(6))
    shop.release(1)
    state = start(spec)
    until(lambda: len(pids(state)) == 2)
    load = [Client(state.url, keep_alive=number % 2 == 0) for number in range(8)]
    for one in load:
        one.start()
    time.sleep(0.5)
    children = pids(state)
    assert process.stop(shop.root / "endpoints" / "0.json", wait_s=20)
    for one in load:
        one.join(10)
        assert not one.is_alive()
    assert not [lost for one in load for lost in one.lost]
    assert {status for one in load for status, _, _ in one.seen} <= {200, 503}
    assert sum(len(one.seen) for one in load) >= 8
    assert [process_start(pid) for pid in children] == [None, None]


def test_workers_do_not_outlive_a_supervisor_that_was_killed(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.release(1)
    state = start(spec)
    until(lambda: len(pids(state)) == 2)
    children = pids(state)
    os.kill(state.pid, signal.SIGKILL)
    until(lambda: all(process_start(pid) is None for pid in children))
    with pytest.raises(client.NoAnswer):
        client.get(state.url, "/health")
    # The port is free, and the next start is as good as the first.
    again = start(dataclasses.replace(spec, port=state.port))
    assert client.ask(again.url, "rain")["version"] == 1


def test_the_board_shows_no_worker_that_is_not_there() -> None:
    board = Board.make(4)
    ticks = process_start(os.getpid())
    board.write(WorkerState(worker=0, pid=os.getpid(), start_ticks=ticks, version=3), {})
    # Dead; and its id reused by another process.
    board.write(WorkerState(worker=1, pid=2**22 + 1, start_ticks=1, version=3), {})
    board.write(WorkerState(worker=2, pid=os.getpid(), start_ticks=1, version=3), {})
    assert [(state.worker, state.version, state.pid is None) for state in board.read()] == [
        (0, 3, False),
        (1, None, True),
        (2, None, True),
        (3, None, True),
    ]


def test_a_worker_that_is_started_again_trusts_the_keys_of_the_endpoints_start(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.release(1)
    state = start(spec)
    until(lambda: len(pids(state)) == 2)
    first = pids(state)[0]
    forger, forged = ensure_key_pair(shop.root / "forger")
    kept = shop.public_key.read_bytes()
    shutil.copyfile(forged, shop.public_key)
    os.kill(first, signal.SIGKILL)
    until(lambda: len(pids(state)) == 2 and first not in pids(state))
    until(lambda: [worker["version"] for worker in workers(state.url)] == [1, 1])
    # And the forger's own pointer is followed by none.
    shop.public_key.write_bytes(kept)
    pointer = shop.folder.pointer(shop.public_key)
    shop.stage(2)
    shutil.copyfile(forged, shop.public_key)
    write_pointer(shop.folder.pointer_path, dataclasses.replace(pointer, version=2, sequence=9), forger)
    until(lambda: all(worker["refused"] for worker in workers(state.url)))
    assert [worker["version"] for worker in workers(state.url)] == [1, 1]


def test_a_record_is_seen_whole_or_as_it_was_before() -> None:
    board = Board.make(2)
    state = WorkerState(worker=1, pid=os.getpid(), start_ticks=process_start(os.getpid()))
    for number in range(1, 4):
        board.write(dataclasses.replace(state, version=number), {"texts": [("texts", {}, float(number))]})
        assert board.read()[1].version == number
        assert board.counts(1) == {"texts": [["texts", {}, number]]}
        assert board.read()[0].pid is None and board.counts(0) == {}
    # The third record lies in the first half, which holds odd ones; it is being written.
    os.pwrite(board.descriptor, b"half a", (2 * 1 + 1) * HALF_BYTES + 20)
    assert board.read()[1].version == 2
    with pytest.raises(OSError, match="exceeds"):
        board.write(state, {"texts": [("x" * HALF_BYTES, {}, 1.0)]})
    assert board.read()[1].version == 2
