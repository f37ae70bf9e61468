"""The open loop: requests leave when they are due, and waiting counts from then."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.process.load_generator import WARM_UP, LoadJob, main, offer


def job(requests: int = 40, rate_per_s: float = 100.0) -> LoadJob:
    return LoadJob(url="", texts=Path("unused"), out=Path("unused"), requests=requests, rate_per_s=rate_per_s)


def test_a_slow_reply_delays_nobody_else() -> None:
    """One reply takes half a second; in a closed loop 50 requests would leave after it."""
    asked, lock = [], threading.Lock()

    def send(text: str) -> tuple[int, str | None]:
        with lock:
            asked.append(text)
            number = len(asked)
        time.sleep(0.5 if number == WARM_UP + 3 else 0.0)
        return 200, "1"

    found = offer(job(), ["a", "b"], send)
    assert len(asked) == 40 + WARM_UP and sorted(found["text"]) == [0] * 20 + [1] * 20
    assert sum(ms > 400 for ms in found["latency_ms"]) == 1
    assert found["status"] == [200] * 40


def test_waiting_in_the_endpoints_queue_is_counted_from_when_a_request_was_due() -> None:
    """One at a time, 20 ms each, asked every 10 ms: request k waits about 10·k ms."""
    one_at_a_time = threading.Lock()

    def send(text: str) -> tuple[int, str | None]:
        with one_at_a_time:
            time.sleep(0.02)
        return 200, "1"

    latency_ms = np.array(offer(job(), ["a"], send)["latency_ms"])
    assert latency_ms.max() > 300
    assert np.polyfit(np.arange(40), np.sort(latency_ms), 1)[0] > 5


def test_numbers_must_be_above_zero() -> None:
    for texts, requests, rate in (([], 5, 1.0), (["a"], 0, 1.0), (["a"], 5, 0.0)):
        with pytest.raises(ValueError, match="expected all above 0"):
            offer(job(requests, rate), texts, lambda text: (200, None))


def test_over_http_against_a_real_endpoint(open_shop: Any, tmp_path: Path) -> None:
    _, state = open_shop
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out.json"
    texts.write_text("".join(json.dumps(text) + "\n" for text in ("hello\u2028day", "late order")))
    asked = {"url": state.url, "texts": str(texts), "out": str(out), "requests": 60, "rate_per_s": 200.0}
    (tmp_path / "job.json").write_text(json.dumps(asked))
    assert main([str(tmp_path / "job.json")]) == 0
    found = json.loads(out.read_text())
    assert set(found["status"]) == {200} and set(found["version"]) == {"1"}
    assert all(ms > 0 for ms in found["latency_ms"])
    # Nothing listens on the discard port: that is a status, not a crash.
    (tmp_path / "job.json").write_text(json.dumps({**asked, "url": "http://127.0.0.1:9"}))
    assert main([str(tmp_path / "job.json")]) == 0
    assert set(json.loads(out.read_text())["status"]) == {0}
