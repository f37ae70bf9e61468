"""A version that was judged in an engine or precision that this machine lacks is answered by the safe one,
and everybody can see it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving import client


def judged_in(shop: Any, precision: str) -> None:
    """Version 1, whose card says so."""
    bundle, _ = shop.bundle(1)
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps({**card, "precision": precision, "threads": 3}))
    shop.seal(bundle)
    shop.release(1)


def test_what_does_not_fit_the_processor_is_said_measured_and_answered_safely(
    shop: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO is kept to what AVX2 has."""
    monkeypatch.setenv("OV_CPU_MAX_ISA", "AVX2")
    judged_in(shop, "openvino_bfloat16")
    state = start()
    said = client.get(state.url, "/version")[1]["serving"]
    assert said.pop("one_text_ms") > 0
    assert said.pop("unfit") in (
        "this processor does not multiply in bfloat16",
        "openvino is not installed here",
    )
    assert said == {
        "precision": "openvino_bfloat16",
        "engine": "onnxruntime",
        "compute": "float32",
        "threads": said["threads"],
        "judged_threads": 3,
    }
    assert client.ask(state.url, "rain")["version"] == 1
    lines = [json.loads(line) for path in shop.root.rglob("*.log") for line in path.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("event") == "version answers by the safe engine"]
    assert line["judged_in"] == "openvino_bfloat16"
    assert line["answers_in"] == "float32 by onnxruntime"
    assert line["one_text_ms"] > 0


def test_what_fits_says_nothing_of_the_kind(shop: Any, start: Any) -> None:
    judged_in(shop, "float32")
    said = client.get(start().url, "/version")[1]["serving"]
    assert (said["precision"], said["engine"], said["unfit"]) == ("float32", "onnxruntime", None)
