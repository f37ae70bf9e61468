"""How the endpoint behaves behind others: prefixes, IPv6, HEAD, what it tells to whom, and texts as text."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import socket
import stat
import subprocess
import time
from typing import Any

import pytest
from tokenizers import Tokenizer

from serving import client
from serving.http.middleware import PAUSE_S
from serving.process import control as process
from serving.process.job import endpoint_job
from tests.support.raw_http import opened, post, reply
from tests.support.toy_bundle import work_of

TOKEN = "a-long-enough-token-4711"


@pytest.mark.parametrize("route", ["/health", "/healthz", "/livez", "/ping", "/ready", "/readyz"])
def test_health_can_be_asked_for_without_its_body(open_shop: Any, route: str) -> None:
    url = open_shop[1].url
    status, headers, body = client.request(url, "HEAD", route)
    got = client.request(url, "GET", route)
    assert (status, body) == (200, b"") == (got[0], b"")
    assert headers["content-length"] == got[1]["content-length"] == str(len(got[2]))


def test_head_says_when_it_is_not_ready(shop: Any, spec: Any, until: Any) -> None:
    job = endpoint_job(shop.folder.path, shop.public_key, spec, shop.root / "s.json")
    command = process.serve_command(job)
    with (shop.root / "log").open("wb") as log:
        endpoint = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: process.status(shop.root / "s.json") is not None)
        state = process.status(shop.root / "s.json")
        assert state is not None
        assert client.request(state.url, "HEAD", "/ready")[0] == 503
        assert client.request(state.url, "GET", "/readyz")[0] == 503
        assert client.request(state.url, "GET", "/v2/health/ready")[0] == 503
        assert client.request(state.url, "HEAD", "/health")[0] == 200
    finally:
        endpoint.kill()
        endpoint.wait()


@pytest.fixture(scope="module")
def prefix() -> str:
    return "/models/toy"


def test_a_prefix_is_answered_whether_the_proxy_takes_it_off_or_not(
    shop: Any, start: Any, spec: Any, prefix: str
) -> None:
    shop.release(1)
    token_file = shop.root / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    url = start(dataclasses.replace(spec, root_path=prefix, token_file=str(token_file))).url
    for base in (url, url + prefix):
        assert client.ask(base, "rain", token=TOKEN)["version"] == 1
        for route in ("/ready", "/readyz", "/health", "/healthz", "/livez", "/v2/health/ready"):
            assert client.request(base, "GET", route)[0] == 200, route
        assert client.get(base, "/version")[0] == 401
        assert client.get(base, "/nowhere", token=TOKEN)[0] == 404
        described = client.get(base, "/openapi.json", token=TOKEN)[1]
        assert described["servers"] == [{"url": prefix}]
        assert {"/predict", "/ready"} <= described["paths"].keys()
    assert client.get(url, prefix + "x/health", token=TOKEN)[0] == 404
    counted = client.request(url, "GET", "/metrics", token=TOKEN)[2].decode()
    assert 'headgate_requests_total{route="/predict",status="200"} 2.0' in counted


def test_without_a_prefix_no_server_is_named(open_shop: Any) -> None:
    assert "servers" not in client.get(open_shop[1].url, "/openapi.json")[1]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize(("host", "also"), [("::1", None), ("::", "127.0.0.1")])
def test_it_listens_on_ipv6(shop: Any, start: Any, spec: Any, host: str, also: str | None) -> None:
    shop.release(1)
    state = start(dataclasses.replace(spec, host=host))
    assert state.url == f"http://[::1]:{state.port}"
    assert client.ask(state.url, "rain")["version"] == 1
    if also is not None:
        assert client.ask(f"http://{also}:{state.port}", "rain")["version"] == 1


def test_whoever_has_no_token_learns_nothing_of_versions(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    token_file = shop.root / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    url = start(dataclasses.replace(spec, token_file=str(token_file))).url
    for route in (
        "/predict",
        "/invocations",
        "/version",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/v2",
        "/nowhere",
    ):
        for method in ("GET", "POST", "HEAD"):
            status, headers, body = client.request(url, method, route)
            assert status == 401, (method, route)
            assert not [name for name in headers if "version" in name or "headgate" in name]
            assert "server" not in headers and not re.search(rb"version|headgate|toy", body)
    assert client.request(url, "GET", "/version", token=TOKEN)[1]["x-headgate-version"] == "1"


def with_special_tokens(shop: Any, preparation: str | None) -> None:
    """Version 1, whose tokenizer knows special tokens; without `preparation` its card is one of 0.2."""
    bundle, _ = shop.bundle(1)
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    tokenizer.save(str(bundle / "tokenizer.json"))
    card = json.loads((bundle / "card.json").read_text())
    del card["text_preparation"]
    card |= {} if preparation is None else {"text_preparation": preparation}
    (bundle / "card.json").write_text(json.dumps(card))
    shop.seal(bundle)
    shop.release(1)


def test_what_looks_like_a_special_token_is_text(shop: Any, start: Any) -> None:
    with_special_tokens(shop, "nfc")
    url = start().url
    typed = ["rain [SEP]", "rain [PAD]", "rain [CLS]", "rain x y z"]
    found = client.ask(url, typed, everything=True)["answers"]
    assert all(answer == found[-1] for answer in found), "a bracket, a word and a bracket, none of them known"
    assert client.get(url, "/version")[1]["text_preparation"] == "nfc"


def test_a_bundle_of_before_takes_special_tokens_as_such_and_says_so(shop: Any, start: Any) -> None:
    with_special_tokens(shop, None)
    url = start().url
    special, text = client.ask(url, ["rain [SEP]", "rain x y z"], everything=True)["answers"]
    assert special != text
    assert client.get(url, "/version")[1]["text_preparation"] == "as_given"


def test_requests_one_after_the_other_on_one_connection_are_answered_in_order(open_shop: Any) -> None:
    with opened(open_shop[1].url) as connection:
        connection.sendall(post(b'{"texts": ["rain", "sun"]}') + post())
        bodies = b""
        while bodies.count(b'"answers"') < 2:
            bodies += connection.recv(65_536)
    assert bodies.index(b"HTTP/1.1 200") == 0 and bodies.count(b"HTTP/1.1 200") == 2


def test_a_client_that_was_told_to_come_back_later_is_not_read_at_once(
    shop: Any, start: Any, spec: Any
) -> None:
    shop.bundle(1, work=work_of(110))
    shop.release(1)
    url = start(dataclasses.replace(spec, queue_limit=1, max_batch=1)).url
    with opened(url) as busy, opened(url) as refused:
        busy.sendall(post(b'{"texts": [' + b", ".join([b'"rain"'] * 60) + b"]}"))
        time.sleep(0.1)
        came_s = []
        for _ in range(4):
            refused.sendall(post(b'{"texts": ["rain", "sun"]}'))
            assert reply(refused)[0] == 503
            came_s.append(time.monotonic())
    assert min(later - before for before, later in itertools.pairwise(came_s)) > 0.9 * PAUSE_S
