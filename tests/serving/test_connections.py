"""What a connection may cost: nobody keeps one for ever, nor all of them, nor the endpoint from ending."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from serving import client
from serving.process import control as process
from serving.process.connections import FEWEST, RESERVED_FILES, connections_allowed
from serving.process.job import endpoint_job
from serving.processes import process_start
from serving.spec import DeploySpec
from tests.support.raw_http import PREDICT, closed_after_s, dial, dial_many, opened, post, reply
from tests.support.toy_bundle import work_of

HALF_A_HEADER = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
LIMIT_S = 1.0
"""What the tests' clients may take for a header."""


@pytest.fixture
def spec(spec: DeploySpec) -> DeploySpec:
    return dataclasses.replace(spec, request_timeout_s=LIMIT_S, keep_alive_s=4.0)


@pytest.fixture
def url(shop: Any, start: Any, spec: DeploySpec) -> str:
    shop.release(1)
    return str(start(spec).url)


def end_s(state: process.EndpointState) -> float:
    """Seconds from SIGTERM to the end; endless after a minute."""
    begin = time.monotonic()
    os.kill(state.pid, signal.SIGTERM)
    while process_start(state.pid) is not None:
        if time.monotonic() - begin > 60:
            return float("inf")
        time.sleep(0.05)
    return time.monotonic() - begin


@pytest.mark.parametrize(
    ("before", "drip"),
    [
        (b"", b""),
        (HALF_A_HEADER, b""),
        (HALF_A_HEADER, b"X: y\r\n"),
        (post()[:-3], b""),
        (post(PREDICT) + HALF_A_HEADER, b""),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n", b" "),
    ],
    ids=["nothing", "half a header", "drips", "half a body", "half a second header", "body unasked for"],
)
def test_a_client_that_does_not_go_on_is_closed_in_time(url: str, before: bytes, drip: bytes) -> None:
    with opened(url) as connection:
        connection.sendall(before)
        took_s = closed_after_s(connection, drip)
    assert 0.8 * LIMIT_S < took_s < LIMIT_S + 2
    assert client.ask(url, "rain")["version"] == 1


def test_a_connection_stays_idle_as_long_as_it_is_told_and_no_longer(url: str) -> None:
    with opened(url) as connection:
        for _ in range(2):
            connection.sendall(post())
            assert reply(connection)[0] == 200
            time.sleep(2.5 * LIMIT_S)
        assert 0.5 < closed_after_s(connection) < 4


def test_by_default_a_connection_stays_longer_than_proxies_keep_it(shop: Any, start: Any) -> None:
    shop.release(1)
    assert DeploySpec().keep_alive_s > 60
    with opened(start().url) as connection:
        connection.sendall(post())
        assert reply(connection)[0] == 200
        time.sleep(6)
        connection.sendall(post())
        assert reply(connection)[0] == 200


def test_a_client_that_does_not_take_its_reply_is_closed(
    shop: Any, start: Any, spec: DeploySpec, until: Any
) -> None:
    shop.release(1)
    state = start(dataclasses.replace(spec, max_texts=4096))
    endpoint = psutil.Process(state.pid)

    def established() -> bool:
        return any(connection.status == "ESTABLISHED" for connection in endpoint.net_connections())

    body = b'{"all": true, "texts": [' + b", ".join([b'"rain"'] * 4000) + b"]}"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((state.host, state.port))
        connection.sendall(post(body, b"Connection: close"))
        until(established)
        until(lambda: not established())
    assert client.ask(state.url, "rain")["version"] == 1


def test_a_client_that_has_closed_its_sending_side_gets_its_answer(url: str) -> None:
    for requests in (1, 3):
        with opened(url) as connection:
            connection.sendall(post() * requests)
            connection.shutdown(socket.SHUT_WR)
            answered = b""
            while data := connection.recv(65_536):
                answered += data
        assert answered.count(b"HTTP/1.1 200") == answered.count(b'"answers"') == requests
    with opened(url) as connection:  # half a request is none
        connection.sendall(post()[:-5])
        connection.shutdown(socket.SHUT_WR)
        assert closed_after_s(connection) < LIMIT_S


@contextlib.contextmanager
def with_few_files(shop: Any, spec: DeploySpec, files: int) -> Iterator[process.EndpointState]:
    """An endpoint that may have so many open files."""
    command = process.serve_command(
        endpoint_job(shop.folder.path, shop.public_key, spec, shop.root / "s.json")
    )
    shell = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    with (shop.root / "log").open("ab") as log:
        endpoint = subprocess.Popen(shell, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while (state := process.status(shop.root / "s.json")) is None:
            assert time.monotonic() < deadline and endpoint.poll() is None
            time.sleep(0.05)
        client.wait_for_version(state.url, 1, timeout_s=20)
        yield state
    finally:
        endpoint.kill()
        endpoint.wait()


@pytest.mark.parametrize("first", [b"", HALF_A_HEADER, post()[:-3]], ids=["nothing", "header", "body"])
def test_more_silent_connections_than_files_keep_nobody_out(
    shop: Any, spec: DeploySpec, first: bytes
) -> None:
    shop.release(1)
    patient = dataclasses.replace(spec, request_timeout_s=60, drain_timeout_s=2)
    with with_few_files(shop, patient, files=256) as state:
        silent = dial_many(state.url, 400, first)
        try:
            for _ in range(5):
                assert client.ask(state.url, "rain", timeout_s=5)["version"] == 1
            assert psutil.Process(state.pid).num_fds() < 256
            assert end_s(state) < patient.drain_timeout_s + 5
        finally:
            for connection in silent:
                connection.close()
    assert "out of system resource" not in (shop.root / "log").read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_eleven_hundred_silent_connections_keep_nobody_out_nor_the_endpoint_from_ending(
    shop: Any, start: Any, spec: DeploySpec, workers: int
) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(1100, soft - 200)
    shop.release(1)
    many = (count - 100) // workers
    state = start(dataclasses.replace(spec, workers=workers, request_timeout_s=60, max_connections=many))
    silent = dial_many(state.url, count)
    try:
        with opened(state.url) as kept:
            for _ in range(3):
                kept.sendall(post())
                assert reply(kept)[0] == 200
        assert client.get(state.url, "/ready", timeout_s=5)[0] == 200
        begin = time.monotonic()
        assert process.stop(shop.root / "endpoints" / "0.json", wait_s=20)
        assert time.monotonic() - begin < spec.drain_timeout_s  # silent ones are not waited for
    finally:
        for connection in silent:
            connection.close()


def test_the_one_that_has_waited_longest_gives_way_and_none_that_is_answered(
    shop: Any, start: Any, spec: DeploySpec
) -> None:
    shop.bundle(1, work=work_of(30))
    shop.release(1)
    few = dataclasses.replace(spec, max_connections=FEWEST, request_timeout_s=30, keep_alive_s=30)
    url = start(few).url
    asking = dial(url, timeout_s=30)
    asking.sendall(post(b'{"texts": ["rain", "sun", "day", "good", "bad"]}'))
    time.sleep(0.1)
    silent = dial_many(url, 2 * FEWEST)
    try:
        assert reply(asking)[0] == 200
        gone = [closed_after_s(connection, most_s=0.15) < 1 for connection in silent]
        assert gone == sorted(gone, reverse=True) and 1 <= gone.count(False) <= FEWEST
        assert client.ask(url, "rain")["version"] == 1
    finally:
        for connection in (asking, *silent):
            connection.close()


def test_it_ends_in_time_whatever_clients_do(shop: Any, start: Any, spec: DeploySpec) -> None:
    """Half bodies, replies that are not taken, requests one after another, and more work than can be done."""
    shop.bundle(1, text_work=300)
    shop.release(1)
    hard = dataclasses.replace(
        spec, drain_timeout_s=2, request_timeout_s=60, max_texts=4000, queue_limit=100_000, max_batch=8
    )
    state = start(hard)
    large = post(b'{"all": true, "texts": [' + b", ".join([b'"rain"'] * 4000) + b"]}")
    clients = dial_many(state.url, 4, post()[:-3]) + dial_many(state.url, 4, large)
    clients += dial_many(state.url, 4, post() * 50)
    try:
        time.sleep(0.5)
        assert end_s(state) < hard.drain_timeout_s + 5
    finally:
        for connection in clients:
            connection.close()


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, before[1]))
        assert connections_allowed(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400
        assert connections_allowed(1000) == 1000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1000 + RESERVED_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
