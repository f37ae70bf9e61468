"""What the endpoint answers to requests that it likes: as its bundle does, naming its version."""

from __future__ import annotations

import http.client
import json
import re
import statistics
import time
import urllib.parse
from typing import Any

import pytest
from pydantic import ValidationError

from serving import client
from serving.http.requests import InvocationsRequest, PredictRequest
from tests.support.hostile_requests import CANARY, send


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
    assert 'headgate_version{worker="0"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert CANARY not in text


def test_docs_are_a_page_that_fetches_and_runs_nothing(url: str) -> None:
    status, headers, body = client.request(url, "GET", "/docs")
    page = body.decode()
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    for route in client.get(url, "/openapi.json")[1]["paths"]:
        assert f"</b> {route}</h2>" in page
    assert not re.search(r"<script|<link|src=|@import|https://", page)
    assert not re.search(r"\son[a-z]+=", page)


def test_schema_is_served_and_pages_that_fetch_scripts_are_not(url: str) -> None:
    status, schema = client.get(url, "/openapi.json")
    assert status == 200
    assert {"/predict", "/invocations", "/health", "/ready", "/version", "/metrics"} <= set(schema["paths"])
    assert client.request(url, "GET", "/redoc")[0] == 404


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


@pytest.mark.parametrize(
    ("route", "body", "code", "message"),
    [
        ("/predict", {"all": True}, "texts_missing", '"texts" is missing'),
        ("/predict", {"texts": 3}, "wrong_type", '"texts" must be a valid string or a valid list'),
        ("/predict", {"texts": ["x", 3]}, "wrong_type", '"texts.1" must be a valid string'),
        ("/predict", {"texts": "x", "all": 1}, "wrong_type", '"all" must be a valid boolean'),
        ("/predict", {"texts": "x", "zq": 1}, "unknown_field", "known fields are all, heads, texts"),
        ("/predict", {"texts": []}, "no_texts", "there is no text to answer"),
        ("/predict", {"texts": ["x", " "]}, "text_blank", "text 1 is blank"),
        ("/predict", {"texts": ["x"] * 9}, "too_many_texts", "at most 8 texts a request"),
        ("/predict", {"texts": "y" * 1001}, "text_too_long", "text 0 has more than 1000 characters"),
        ("/predict", {"texts": "\ud800"}, "not_unicode", "text 0 holds half of a surrogate pair"),
        (
            "/invocations",
            {"inputs": "x", "instances": ["x"]},
            "one_format",
            "give exactly one of dataframe_split, dataframe_records, inputs, instances",
        ),
        (
            "/invocations",
            {"dataframe_split": {"data": [["x"]]}},
            "columns_missing",
            '"dataframe_split.columns" is missing',
        ),
        ("/invocations", {"instances": ["x", [1]]}, "wrong_type", None),
        (
            "/invocations",
            {"instances": [{"a": "x", "b": "y"}]},
            "no_text_column",
            'row 0 needs a field "text"',
        ),
        (
            "/invocations",
            {"inputs": "x", "params": {"zq": 1}},
            "unknown_field",
            "known fields are all, heads",
        ),
    ],
)
def test_a_refusal_names_the_place_and_what_is_expected(
    url: str, route: str, body: dict[str, Any], code: str, message: str | None
) -> None:
    status, _, reply = client.request(url, "POST", route, body)
    error = json.loads(reply)["error"]
    assert (status, error["code"]) == (422, code)
    assert message in (None, error["message"])


def test_a_body_with_thousands_of_flaws_is_refused_as_quickly_as_one_with_a_single_flaw() -> None:
    """The first flaw is enough: each further one would cost time and memory."""
    for model, raw in (
        (PredictRequest, {"texts": [1] * 300_000}),
        (PredictRequest, {f"{number}": 1 for number in range(100_000)}),
        (InvocationsRequest, {"instances": [[1]] * 300_000}),
        (InvocationsRequest, {"dataframe_split": {"columns": ["text"], "data": [1] * 300_000}}),
    ):
        with pytest.raises(ValidationError) as error:
            model.model_validate(raw)
        assert error.value.error_count() <= 3
