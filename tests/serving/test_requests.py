"""What the endpoint does with what people and programs send: answers, or small refusals that echo nothing."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import time
import urllib.parse
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import client

CANARY = "zq-canary-7731"
"""Stands in every hostile body; must never come back."""

LABELS = {"mood": {"low", "mid", "high"}, "topics": {"weather", "delivery"}}


def send(
    url: str,
    body: bytes,
    route: str = "/predict",
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request with these very bytes."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, route, body, {"Content-Type": "application/json", **(headers or {})})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def url(open_shop: Any) -> str:
    return str(open_shop[1].url)


def test_one_text_and_many_are_answered_as_the_bundle_answers(open_shop: Any, url: str) -> None:
    shop, _ = open_shop
    one = client.ask(url, "hello good day", everything=True)
    assert (one["version"], one["name"], len(one["answers"])) == (1, "toy", 1)
    wanted = shop.probabilities(1, "hello good day")
    for head, answer in one["answers"][0].items():
        got = {entry["label"]: entry["probability"] for entry in answer["probabilities"]}
        labels = ("low", "mid", "high") if head == "mood" else ("weather", "delivery")
        assert got == pytest.approx(dict(zip(labels, wanted[head], strict=True)), abs=1e-5)
        ranked = [entry["probability"] for entry in answer["probabilities"]]
        assert ranked == sorted(ranked, reverse=True)
    mood = one["answers"][0]["mood"]
    assert mood["labels"] == mood["probabilities"][:1]
    topics = one["answers"][0]["topics"]
    assert topics["labels"] == [entry for entry in topics["probabilities"] if entry["probability"] >= 0.5]
    many = client.ask(url, ["rain", "hello good day"])
    assert [set(answer) for answer in many["answers"]] == [{"mood", "topics"}] * 2
    assert many["answers"][1]["mood"]["labels"] == mood["labels"]
    assert "probabilities" not in many["answers"][1]["mood"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["text"], "data": [["rain"], ["late order"]]}},
        {
            "dataframe_split": {
                "columns": ["id", "text"],
                "index": [4, 5],
                "data": [[1, "rain"], [2, "late order"]],
            }
        },
        {"dataframe_split": {"columns": ["message"], "data": [["rain"], ["late order"]]}},
        {"dataframe_records": [{"text": "rain"}, {"text": "late order", "id": 7}]},
        {"inputs": ["rain", "late order"]},
        {"inputs": {"text": ["rain", "late order"]}},
        {"inputs": [{"text": "rain"}, {"text": "late order"}]},
        {"instances": ["rain", "late order"]},
        {"instances": [{"text": "rain"}, {"text": "late order"}]},
        {"instances": ["rain", "late order"], "params": {}},
        {"instances": ["rain", "late order"], "params": None},
    ],
)
def test_formats_of_mlflow_are_answered_alike(url: str, body: dict[str, Any]) -> None:
    status, headers, reply = client.request(url, "POST", "/invocations", body)
    assert status == 200
    assert json.loads(reply)["predictions"] == client.ask(url, ["rain", "late order"])["answers"]
    assert headers["x-headgate-version"] == "1"


def test_every_reply_names_its_version(url: str) -> None:
    for method, route in (("GET", "/health"), ("GET", "/ready"), ("GET", "/nowhere"), ("DELETE", "/predict")):
        status, headers, _ = client.request(url, method, route)
        assert headers["x-headgate-version"] == "1"
        assert status in (200, 404, 405)
    assert send(url, b"{")[1]["x-headgate-version"] == "1"


def test_version_tells_what_serves_and_why(open_shop: Any, url: str) -> None:
    shop, _ = open_shop
    status, body = client.get(url, "/version")
    assert status == 200
    assert body["bundle_sha256"] == shop.bundle(1)[1]
    assert (body["outcome"], body["override"], body["version"]) == ("pass", None, 1)
    assert body["heads"]["mood"] == ["low", "mid", "high"]


def test_metrics_count_by_fixed_labels(url: str) -> None:
    client.request(url, "GET", f"/{CANARY}")
    status, headers, body = client.request(url, "GET", "/metrics")
    text = body.decode()
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert 'headgate_requests_total{route="other",status="404"}' in text
    assert "headgate_version 1.0" in text
    assert "process_resident_memory_bytes" in text
    assert CANARY not in text


def test_schema_is_served_and_pages_that_fetch_scripts_are_not(url: str) -> None:
    status, schema = client.get(url, "/openapi.json")
    assert status == 200
    assert {"/predict", "/invocations", "/health", "/ready", "/version", "/metrics"} <= set(schema["paths"])
    assert client.request(url, "GET", "/docs")[0] == client.request(url, "GET", "/redoc")[0] == 404


def _deep(levels: int) -> bytes:
    return b'{"texts": ' + b"[" * levels + b'"' + CANARY.encode() + b'"' + b"]" * levels + b"}"


C = CANARY
HOSTILE_PREDICT: list[tuple[bytes, int]] = [
    (b"", 400),
    (b" ", 400),
    (b"{", 400),
    (b"}", 400),
    (b"nonsense " + C.encode(), 400),
    (b"{'texts': 'x'}", 400),
    (b'{"texts": "x"', 400),
    (b'{"texts": "x"}}', 400),
    (b'{"texts": "x",}', 400),
    (b'{"texts": NaN}', 400),
    (b'{"texts": [NaN]}', 400),
    (b'{"texts": Infinity}', 400),
    (b'{"texts": -Infinity}', 400),
    (b'{"texts": "a", "all": NaN}', 400),
    (b'\xff\xfe{"texts": "x"}', 400),
    (b'{"texts": "\xff"}', 400),
    (b'{"texts": "\xed\xa0\x80"}', 400),
    (b'{"texts": "\xc3"}', 400),
    ('{"texts": "x"}'.encode("utf-16"), 400),
    (b'\xef\xbb\xbf{"texts": "x"}', 400),
    (b'{"texts": "a\nb"}', 400),
    (b'{"texts": "a\x00b"}', 400),
    (b'{"texts": "\\x41"}', 400),
    (b'{"texts": "\\ud8"}', 400),
    (b'{"texts": ' + b"9" * 5000 + b"}", 400),
    (_deep(9000), 400),
    (b"[" * 19_000, 400),
    (b'{"a":' * 3000, 400),
    (b"null", 422),
    (b"true", 422),
    (b"17", 422),
    (b"1e999", 422),
    (b'"' + C.encode() + b'"', 422),
    (b"[]", 422),
    (b'["x"]', 422),
    (b"{}", 422),
    (b'{"text": "x"}', 422),
    (b'{"Texts": "x"}', 422),
    (b'{"' + C.encode() + b'": "x"}', 422),
    (b'{"texts": "x", "' + C.encode() + b'": 1}', 422),
    (b'{"texts": null}', 422),
    (b'{"texts": true}', 422),
    (b'{"texts": 0}', 422),
    (b'{"texts": 1e400}', 422),
    (b'{"texts": {}}', 422),
    (b'{"texts": {"0": "' + C.encode() + b'"}}', 422),
    (b'{"texts": []}', 422),
    (b'{"texts": [[]]}', 422),
    (b'{"texts": [["' + C.encode() + b'"]]}', 422),
    (b'{"texts": [null]}', 422),
    (b'{"texts": ["x", null]}', 422),
    (b'{"texts": ["x", 3]}', 422),
    (b'{"texts": ["x", false]}', 422),
    (b'{"texts": ["x", {"text": "y"}]}', 422),
    (b'{"texts": ""}', 422),
    (b'{"texts": " "}', 422),
    (b'{"texts": "\\n\\t\\u00a0\\u2003"}', 422),
    (b'{"texts": ["x", ""]}', 422),
    (b'{"texts": "\\ud800"}', 422),
    (b'{"texts": "\\udfff\\ud800"}', 422),
    (b'{"texts": "' + C.encode() + b' \\ud83d"}', 422),
    (b'{"texts": ["x", "\\ude00 y"]}', 422),
    (b'{"texts": "x", "all": null}', 422),
    (b'{"texts": "x", "all": 1}', 422),
    (b'{"texts": "x", "all": "true"}', 422),
    (b'{"texts": "x", "all": []}', 422),
    (json.dumps({"texts": ["x"] * 9}).encode(), 422),
    (json.dumps({"texts": "y" * 1001}).encode(), 422),
    (json.dumps({"texts": ["x", C + "y" * 1001]}).encode(), 422),
    (json.dumps({"texts": C * 2000}).encode(), 413),
    (b'{"texts": "x"}' + b" " * 20_000, 413),
    (b'{"texts": "\\u0000"}', 200),
    (b'{"texts": "\\ufffd\\uffff\\u200b"}', 200),
    (b'{"texts": "\\u202e \\u0301\\u0301\\u0301"}', 200),
    (b'{"texts": "\\ud83d\\ude00"}', 200),
    ('{"texts": "𝕏 🏳️‍🌈 漢字 ﷽ Ǆ"}'.encode(), 200),
    (b'{"texts": "<script>alert(1)</script>"}', 200),
    (b'{"texts": "\'; DROP TABLE x; --"}', 200),
    (b'{"texts": "{{7*7}} ${7*7} %s %n \\\\"}', 200),
    (b'{"texts": "[CLS] [SEP] [PAD] [MASK]"}', 200),
    (b'{"texts": "x", "texts": "y"}', 200),
    (json.dumps({"texts": "y" * 1000}).encode(), 200),
    (json.dumps({"texts": "y " * 500}).encode(), 200),
    (json.dumps({"texts": ["x"] * 8, "all": True}).encode(), 200),
]


@pytest.mark.parametrize(("body", "status"), HOSTILE_PREDICT, ids=range(len(HOSTILE_PREDICT)))
def test_hostile_body_is_refused_in_a_few_words_of_our_own(url: str, body: bytes, status: int) -> None:
    seen, headers, reply = send(url, body)
    assert seen == status, reply
    _harmless(headers, reply, refused=status != 200)


HOSTILE_INVOCATIONS: list[Any] = [
    {},
    {"texts": ["x"]},
    {"inputs": ["x"], "instances": ["x"]},
    {"inputs": ["x"], CANARY: 1},
    {"inputs": None},
    {"inputs": []},
    {"inputs": 3},
    {"inputs": {}},
    {"inputs": {"text": []}},
    {"inputs": {"text": {"x": "y"}}},
    {"inputs": {"a": ["x"], "b": ["y"]}},
    {"inputs": [[CANARY]]},
    {"instances": "x"},
    {"instances": [{"a": "x", "b": CANARY}]},
    {"instances": [{}]},
    {"instances": [3]},
    {"dataframe_records": {"text": "x"}},
    {"dataframe_records": [[CANARY]]},
    {"dataframe_records": [{"text": None}]},
    {"dataframe_records": [{"text": "x"}, {"other": "y", "more": "z"}]},
    {"dataframe_split": []},
    {"dataframe_split": {"data": [["x"]]}},
    {"dataframe_split": {"columns": ["text"]}},
    {"dataframe_split": {"columns": "text", "data": [["x"]]}},
    {"dataframe_split": {"columns": ["text"], "data": "x"}},
    {"dataframe_split": {"columns": ["text"], "data": ["x"]}},
    {"dataframe_split": {"columns": ["text"], "data": [["x", "y"]]}},
    {"dataframe_split": {"columns": ["text"], "data": [[]]}},
    {"dataframe_split": {"columns": ["a", "b"], "data": [["x", CANARY]]}},
    {"dataframe_split": {"columns": [{"a": 1}], "data": [[7]]}},
    {"dataframe_split": {"columns": ["text"], "data": [["x"]], CANARY: 1}},
    {"dataframe_split": {"columns": [], "data": []}},
    {"inputs": ["x"], "params": 3},
    {"inputs": ["x"], "params": {CANARY: 1}},
    {"inputs": ["x"], "params": {"all": 1}},
]


@pytest.mark.parametrize("body", HOSTILE_INVOCATIONS, ids=range(len(HOSTILE_INVOCATIONS)))
def test_hostile_invocation_is_refused(url: str, body: Any) -> None:
    status, headers, reply = send(url, json.dumps(body).encode(), "/invocations")
    assert status == 422, reply
    _harmless(headers, reply, refused=True)


@pytest.mark.parametrize(
    ("method", "route", "headers", "status"),
    [
        ("POST", "/predict", {"Content-Type": "text/plain"}, 415),
        ("POST", "/predict", {"Content-Type": "text/csv"}, 415),
        ("POST", "/predict", {"Content-Type": CANARY}, 415),
        ("POST", "/predict", {"Content-Type": "application/json; charset=latin-1"}, 200),
        ("POST", "/predict", {"Authorization": "Bearer " + CANARY}, 200),
        ("POST", "/predict", {"Content-Encoding": "gzip"}, 200),
        ("POST", "/predict", {"Expect": "100-continue"}, 200),
        ("POST", "/predict", {"X-Headgate-Version": CANARY}, 200),
        ("GET", "/predict", {}, 405),
        ("PUT", "/predict", {}, 405),
        ("TRACE", "/predict", {}, 405),
        ("POST", "/ready", {}, 405),
        ("POST", "/predict/", {}, 404),
        ("POST", "/predict/../version", {}, 404),
        ("POST", "//predict", {}, 404),
        ("POST", "/%70redict", {}, 200),
        ("POST", "/predict%00", {}, 404),
        ("GET", "/" + CANARY, {}, 404),
        ("GET", "/" + "a" * 5000, {}, 404),
        ("POST", "/predict?texts=" + CANARY, {}, 200),
    ],
)
def test_odd_routes_methods_and_headers(
    url: str, method: str, route: str, headers: dict[str, str], status: int
) -> None:
    seen, reply_headers, reply = send(url, b'{"texts": "rain"}', route, method, headers)
    assert seen == status
    _harmless(reply_headers, reply, refused=status != 200)


def _harmless(headers: dict[str, str], reply: bytes, refused: bool) -> None:
    assert CANARY.encode() not in reply
    assert not any(CANARY in value for value in headers.values())
    assert headers["x-headgate-version"] == "1"
    body = json.loads(reply)
    if refused:
        assert set(body) == {"error"}
        assert set(body["error"]) == {"code", "message"}
        assert len(reply) < 250
        for trace in ("Traceback", "Error", "/usr", ".py", "site-packages"):
            assert trace not in body["error"]["message"]
    else:
        for answer in body["answers"]:
            for head, labels in LABELS.items():
                assert {entry["label"] for entry in answer[head]["labels"]} <= labels


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
    ids=range(8),
)
def test_what_is_hardly_http_is_refused(url: str, raw: bytes) -> None:
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
        connection.sendall(raw)
        reply = connection.recv(4096)
    assert reply.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
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


def test_replies_on_an_open_connection_do_not_wait_for_acknowledgements(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    times_ms = []
    for _ in range(15):
        begin = time.perf_counter()
        connection.request("POST", "/predict", b'{"texts": "rain"}', {"Content-Type": "application/json"})
        connection.getresponse().read()
        times_ms.append((time.perf_counter() - begin) * 1000)
    connection.close()
    assert statistics.median(times_ms) < 30  # 40 and more with Nagle's algorithm on


def test_client_that_hangs_up_in_the_middle_harms_nobody(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    for _ in range(5):
        with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    assert client.ask(url, "rain")["version"] == 1


fields = st.sampled_from(["texts", "all", "inputs", "text", "columns", "data", "x"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=4),
    max_leaves=12,
)
FORMATS = ["texts", "all", "inputs", "instances", "dataframe_split", "dataframe_records", "params"]


@settings(max_examples=150, deadline=None)
@given(
    body=st.dictionaries(st.sampled_from(FORMATS), json_values, max_size=3),
    route=st.sampled_from(["/predict", "/invocations"]),
)
def test_no_json_makes_it_fail(url: str, body: dict[str, Any], route: str) -> None:
    status, _, reply = send(url, json.dumps(body).encode(), route)
    assert status < 500, reply


@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=60))
def test_no_bytes_make_it_fail(url: str, body: bytes) -> None:
    assert send(url, body)[0] < 500


def test_log_holds_no_texts(open_shop: Any, url: str) -> None:
    shop, _ = open_shop
    send(url, json.dumps({"texts": CANARY}).encode())
    send(url, json.dumps({"texts": [CANARY, "\ud800"]}).encode())
    lines = (shop.root / "endpoint.log").read_text().splitlines()
    assert lines
    assert all(set(json.loads(line)) >= {"time", "level", "event"} for line in lines)
    assert not any(CANARY in line for line in lines)
