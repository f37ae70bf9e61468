"""Logs do not grow for ever, whoever asks for it, and hold nothing that was sent."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import client
from serving.process import logs
from tests.support.raw_http import closed_after_s, opened, post, reply

UPGRADE = post(b'{"texts": "rain"}', b"Connection: Upgrade", b"Upgrade: websocket")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged."""
    names = ("serving", *logs.OF_REQUESTS)
    before = {n: (logging.getLogger(n).handlers[:], logging.getLogger(n).filters[:]) for n in names}
    state = {n: (logging.getLogger(n).level, logging.getLogger(n).propagate) for n in names}
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers[:], logger.filters[:] = before[name]
        logger.setLevel(state[name][0])
        logger.propagate = state[name][1]


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_flood_of_one_event_is_counted_and_not_written(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("uvicorn.error")
    for _ in range(1000):
        logger.warning("Invalid HTTP request received.")
    logger.warning("another")
    assert [line["event"] for line in events(written)] == ["Invalid HTTP request received."] * 10 + [
        "another"
    ]
    monkeypatch.setattr(logs, "WINDOW_S", 0.0)
    logger.warning("Invalid HTTP request received.")
    assert events(written)[-1]["left_out"] == 990
    for number in range(3 * logs.MOST_EVENTS):
        logger.warning(f"event {number}")
    (sparing,) = logger.filters
    assert isinstance(sparing, logs.Sparing) and len(sparing._seen) <= logs.MOST_EVENTS


def test_lines_of_the_endpoint_itself_are_never_left_out(written: io.StringIO) -> None:
    for version in range(100):
        logging.getLogger("serving").error("version refused", extra={"version": version})
    assert len(events(written)) == 100


def test_what_asyncio_writes_below_its_first_line_is_not_kept(written: io.StringIO) -> None:
    logging.getLogger("asyncio").error("Fatal error: protocol.data_received() call failed.\ndata: b'secret'")
    assert events(written)[0]["event"] == "Fatal error: protocol.data_received() call failed."
    assert "secret" not in written.getvalue()


def test_a_log_that_is_too_large_is_begun_anew_and_the_former_one_kept(tmp_path: Path) -> None:
    log = tmp_path / "endpoint.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for number in range(4):
            os.write(descriptor, str(number).encode() * 1000)
            logs.begin_anew(1500, descriptor)
        assert log.read_text() == ""
        assert (tmp_path / "endpoint.log.1").read_text() == "2" * 1000 + "3" * 1000
        os.write(descriptor, b"on")
        assert log.read_text() == "on"
        # Where no copy can be made the bound holds all the same.
        (tmp_path / "endpoint.log.1").unlink()
        (tmp_path / "endpoint.log.1").mkdir()
        os.write(descriptor, b"4" * 2000)
        logs.begin_anew(1500, descriptor)
        assert log.stat().st_size == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoint.log", "endpoint.log.1"]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_anybody_may_send_hardly_grows_the_log(shop: Any, start: Any, spec: Any, workers: int) -> None:
    shop.release(1)
    url = start(dataclasses.replace(spec, workers=workers)).url
    log = shop.root / "endpoints" / "0.log"
    before = log.stat().st_size
    with opened(url) as connection:
        for _ in range(300):
            connection.sendall(UPGRADE)
            assert reply(connection)[0] == 200
    for _ in range(100):
        with opened(url) as connection:
            connection.sendall(b"\x00 nothing like HTTP\r\n\r\n")
            closed_after_s(connection)
    assert client.ask(url, "rain")["version"] == 1
    assert log.stat().st_size - before < workers * 11 * 200
    assert "Unsupported upgrade" not in log.read_text()


def test_the_log_of_an_endpoint_keeps_its_bound(shop: Any, start: Any, spec: Any, until: Any) -> None:
    shop.release(1)
    url = start(dataclasses.replace(spec, log_max_bytes=65_536)).url
    log = shop.root / "endpoints" / "0.log"
    with log.open("ab") as other:
        other.write(b"x" * 100_000)
    until(lambda: log.stat().st_size < 65_536)
    assert log.with_name("0.log.1").stat().st_size >= 100_000
    size = log.stat().st_size
    shop.release(2)
    client.wait_for_version(url, 2, timeout_s=10)
    deadline = time.monotonic() + 5
    while log.stat().st_size <= size:
        assert time.monotonic() < deadline, "it is not logged to any more"
        time.sleep(0.05)
    assert b"\0" not in log.read_bytes()
