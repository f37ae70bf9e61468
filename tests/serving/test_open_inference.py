"""The Open Inference Protocol V2: Triton's client gets the answers of `POST /predict`; refusals are words."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import client

TEXTS = ["hello good day", "late order", "rain ☔"]


@pytest.fixture(scope="module")
def url(open_shop: Any) -> str:
    return str(open_shop[1].url)


def labels(url: str, head: str) -> list[list[str]]:
    reply = client.ask(url, TEXTS)
    return [[item["label"] for item in answer[head]["labels"]] for answer in reply["answers"]]


def infer(url: str, body: dict[str, Any], route: str = "/v2/models/toy/infer") -> tuple[int, dict[str, Any]]:
    status, _, reply = client.request(url, "POST", route, body)
    return status, json.loads(reply)


def texts(*given: Any, shape: list[int] | None = None) -> dict[str, Any]:
    tensor = {"name": "text", "datatype": "BYTES", "shape": shape or [len(given)], "data": list(given)}
    return {"inputs": [tensor]}


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_tritonclient_gets_the_answers_of_predict(url: str, binary: bool) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    server = triton.InferenceServerClient(url.removeprefix("http://"))
    try:
        assert server.is_server_live() and server.is_server_ready()
        assert server.is_model_ready("toy") and server.is_model_ready("toy", "1")
        assert not server.is_model_ready("toy", "7") and not server.is_model_ready("other")
        assert server.get_server_metadata()["name"] == "headgate"
        about = server.get_model_metadata("toy")
        assert about["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        by_name = {output["name"]: output for output in about["outputs"]}
        assert set(by_name) == {"mood", "mood.probabilities", "topics", "topics.probabilities"}
        given = triton.InferInput("text", [len(TEXTS)], "BYTES")
        given.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=binary)
        reply = server.infer("toy", [given], request_id="r-1")
        assert reply.get_response()["id"] == "r-1" and reply.get_response()["model_version"] == "1"
        moods = [[str(mood)] for mood in reply.as_numpy("mood")]
        assert moods == labels(url, "mood")
        assert [json.loads(each) for each in reply.as_numpy("topics")] == [
            sorted(each, key=by_name["topics"]["parameters"]["labels"].index)
            for each in labels(url, "topics")
        ]
        likely = reply.as_numpy("mood.probabilities")
        assert likely.shape == (3, 3) and likely.dtype == np.float32
        assert np.allclose(likely.sum(axis=1), 1, atol=1e-4)
        only = server.infer("toy", [given], outputs=[triton.InferRequestedOutput("topics.probabilities")])
        assert only.as_numpy("mood") is None and only.as_numpy("topics.probabilities").shape == (3, 2)
        with pytest.raises(triton.InferenceServerException, match="here serves model toy, version 1"):
            server.infer("other", [given])
    finally:
        server.close()


def test_strings_may_come_as_rows_of_one(url: str) -> None:
    flat, rows = infer(url, texts(*TEXTS)), infer(url, texts(*([text] for text in TEXTS), shape=[3, 1]))
    assert flat == rows and flat[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"inputs": []}, 400, '"inputs" is not what the protocol says'),
        (texts("rain", shape=[2]), 400, '"shape" must be [1] or [1, 1]'),
        (texts(), 422, "there is no text to answer"),
        (texts(" "), 422, "text 0 is blank"),
        (texts(3), 422, "text 0 is not a string"),
        (texts(*["rain"] * 9), 422, "at most 8 texts a request"),
        (texts("rain") | {"outputs": [{"name": "other"}]}, 400, '"outputs.0" is none of this model'),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]},
            400,
            'the one input is "text" with datatype BYTES',
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_protocols_shape(
    url: str, body: dict[str, Any], status: int, said: str
) -> None:
    assert infer(url, body) == (status, {"error": said})


def test_bytes_that_do_not_add_up_are_refused(url: str) -> None:
    for data in (b"\x01", struct.pack("<I", 9) + b"rain", struct.pack("<I", 1) + b"\xff"):
        size = {"binary_data_size": len(data)}
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": size}
        head = json.dumps({"inputs": [tensor]}).encode()
        for stated in (len(head), len(head) - 1, 10**11):
            status, reply = send_bytes(url, head + data, stated)
            assert status == 400 and isinstance(reply["error"], str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=6), deeper, max_size=3),
    max_leaves=8,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.just("text") | st.text(max_size=3),
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "datatype": st.just("BYTES"),
    },
    optional={"data": st.lists(st.text(max_size=5) | JSON, max_size=3) | JSON, "parameters": JSON},
)


@settings(max_examples=60, deadline=None)
@given(body=st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=2)}, optional={"outputs": JSON}))
def test_no_request_makes_it_fail(url: str, body: dict[str, Any]) -> None:
    status, reply = infer(url, body)
    assert status in (200, 400, 422) and (status == 200 or isinstance(reply["error"], str))


def send_bytes(url: str, body: bytes, json_bytes: int) -> tuple[int, dict[str, Any]]:
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    headers = {"Inference-Header-Content-Length": str(json_bytes), "Content-Type": "application/octet-stream"}
    connection.request("POST", "/v2/models/toy/infer", body, headers)
    reply = connection.getresponse()
    said = json.loads(reply.read())
    connection.close()
    return reply.status, said
