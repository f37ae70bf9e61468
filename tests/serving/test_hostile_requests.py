"""What the endpoint does with what people and programs send by mistake or to do harm: small refusals that
echo nothing, and never a failure.

Part of `tests.campaigns.requests`, which tries many more.
"""

from __future__ import annotations

import json
import socket
import urllib.parse
from typing import Any

import pytest
from hypothesis import given, settings

from serving import client
from tests.campaigns.requests import bodies, counted, schema_cases
from tests.support.hostile_requests import CANARY, LEAKS, RAW, Hostile, by_hand, flaws, send, send_raw

HOSTILE = list(by_hand())


@pytest.fixture(scope="module")
def url(open_shop: Any) -> str:
    return str(open_shop[1].url)


def test_there_are_two_hundred_by_hand() -> None:
    assert len(HOSTILE) + len(RAW) >= 200


@pytest.mark.parametrize("asked", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_request_is_answered_or_refused_in_a_few_words_of_our_own(url: str, asked: Hostile) -> None:
    reply = send(url, asked.body, asked.route, asked.method, asked.headers)
    assert not flaws(*reply, wanted=asked.status), reply


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
def test_what_is_hardly_http_is_refused(url: str, raw: bytes) -> None:
    reply = send_raw(url, raw)
    assert reply.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert not LEAKS.search(reply)
    assert client.ask(url, "rain")["version"] == 1


def test_chunked_body_is_cut_off_at_the_limit(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(3):
            connection.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_client_that_hangs_up_in_the_middle_harms_nobody(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    for _ in range(5):
        with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    assert client.ask(url, "rain")["version"] == 1


@settings(max_examples=200, deadline=None)
@given(asked=bodies())
def test_no_json_and_no_bytes_make_it_fail(url: str, asked: tuple[str, bytes]) -> None:
    route, body = asked
    reply = send(url, body, route)
    assert not flaws(*reply), reply


def test_what_a_schema_fuzzer_sends_is_answered_as_the_schema_says(url: str) -> None:
    replies = counted(lambda count: schema_cases(url, 60, count))
    assert replies.sent >= 60
    assert not replies.flaws


def test_a_reply_that_leaks_would_be_seen() -> None:
    """The check itself: each of these replies must be found wanting."""
    named = {"x-headgate-version": "1", "content-type": "application/json"}
    small = json.dumps({"error": {"code": "x", "message": "y"}}).encode()
    assert not flaws(422, named, small, wanted=422)
    assert flaws(500, named, small)
    assert flaws(422, named, small, wanted=400)
    assert flaws(422, {**named, "x-headgate-version": "none"}, small)
    assert flaws(422, named, small.replace(b"y", CANARY.encode()))
    assert flaws(422, named, small.replace(b"y", b"y" * 300))
    assert flaws(422, named, b'{"detail": []}')
    for leak in (b"Traceback (most recent", b"/usr/lib/x", b"ValueError: no", b"app.py"):
        assert flaws(422, named, small.replace(b"y", leak))


def test_log_holds_no_texts(open_shop: Any, url: str) -> None:
    shop, _ = open_shop
    send(url, json.dumps({"texts": CANARY}).encode())
    send(url, json.dumps({"texts": [CANARY, "\ud800"]}).encode())
    lines = (shop.root / "endpoint.log").read_text().splitlines()
    assert lines
    assert all(set(json.loads(line)) >= {"time", "level", "event"} for line in lines)
    assert not any(CANARY in line for line in lines)
