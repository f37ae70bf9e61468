"""What `/metrics` says of each version's answers: by head and label, over workers, deaths and swaps."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from model.bundle.card import HeadCard
from serving import client
from serving.counts import grown, read_counts
from serving.errors import NoAnswer
from serving.http.answer_counts import LABEL_BYTES, AnswerCounts, of_versions
from tests.support.toy_bundle import break_word

TEXTS = ["hello good day", "late order", "rain", "sun sun", "bad early"]
Until = Callable[..., None]


def answered(url: str, times: int = 1) -> Counter[str]:
    """Ask about all texts so many times; the counts that this should add."""
    wanted: Counter[str] = Counter()
    for _ in range(times):
        reply = client.ask(url, TEXTS)
        wanted["answered"] += 1
        for head in ("mood", "topics"):
            wanted[f"requests {head}"] += 1
            wanted[f"texts {head}"] += len(TEXTS)
            for answer in reply["answers"]:
                wanted.update(f"label {head} {one['label']}" for one in answer[head]["labels"])
    return wanted


def named(counts: Any) -> dict[str, float]:
    """Counts without durations and zeros."""
    return {name: value for name, value in counts.items() if value and not name.startswith("up to")}


def test_labels_are_counted_by_head_and_version(shop: Any, start: Any, until: Until) -> None:
    shop.release(1)
    url = start().url
    wanted = answered(url, 3)
    assert named(read_counts(url)[1]) == dict(wanted)
    text = client.request(url, "GET", "/metrics")[2].decode()
    low = wanted["label mood low"]
    assert f'headgate_labels_total{{head="mood",label="low",version="1"}} {low}.0' in text or not low
    # A head that is not asked for is not counted; what the client got wrong is nobody's answer.
    client.request(url, "POST", "/predict", {"texts": "rain", "heads": ["mood"]})
    assert client.request(url, "POST", "/predict", {"texts": "rain", "heads": ["other"]})[0] == 422
    now = read_counts(url)[1]
    assert (now["answered"], now["requests mood"], now["requests topics"]) == (4, 4, 3)
    assert now["up to +Inf"] == 4 and now["failed"] == 0

    for version in (2, 3):
        shop.release(version)
        until(lambda: client.get(url, "/ready")[1]["version"] == version)  # noqa: B023
        answered(url)
    assert sorted(read_counts(url)) == [2, 3], "only the version that serves and the one before"


def test_workers_count_together_and_a_dead_one_is_not_forgotten(
    shop: Any, start: Any, spec: Any, until: Until
) -> None:
    shop.release(1)
    state = start(dataclasses.replace(spec, workers=2))
    until(lambda: [one["version"] for one in client.get(state.url, "/ready")[1]["workers"]] == [1, 1])
    wanted = answered(state.url, 12)
    until(lambda: named(read_counts(state.url)[1]) == dict(wanted))

    first = min(child.pid for child in psutil.Process(state.pid).children())
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in [child.pid for child in psutil.Process(state.pid).children()])
    until(lambda: [one["version"] for one in client.get(state.url, "/ready")[1]["workers"]] == [1, 1])
    assert named(read_counts(state.url)[1]) == dict(wanted)


def test_a_model_that_fails_is_counted_and_a_busy_endpoint_is_not(shop: Any, start: Any) -> None:
    bundle, _ = shop.bundle(1)
    break_word(bundle, "help")
    shop.seal(bundle)
    shop.release(1)
    url = start().url
    assert client.request(url, "POST", "/predict", {"texts": "help help"})[0] == 500
    answered(url)
    now = read_counts(url)[1]
    assert (now["answered"], now["failed"]) == (1, 1)


def test_where_a_count_fell_it_began_anew() -> None:
    assert grown({"answered": 5}, {"answered": 8, "failed": 1}) == {"answered": 3, "failed": 1}
    assert grown({"answered": 5, "failed": 2}, {"answered": 3, "failed": 0}) == {"answered": 3, "failed": 0}
    assert grown({"answered": 5}, {}) == {}


def test_counts_of_versions_that_are_gone_go() -> None:
    counts = {
        "a": [("a_total", {"version": "1"}, 1.0), ("a_total", {"version": "2"}, 2.0)],
        "b": [("b_total", {}, 3.0)],
    }
    assert of_versions(counts, frozenset({"2"})) == {"a": [counts["a"][1]], "b": counts["b"]}


def test_a_head_with_too_many_labels_is_counted_without_them() -> None:
    def head(labels: int) -> HeadCard:
        names = tuple(f"label-{number}" for number in range(labels))
        return HeadCard(kind="multiclass", labels=names, temperature=1.0, thresholds=None, metric="accuracy")

    heads = {"few": head(3), "many": head(LABEL_BYTES // 80), "last": head(2)}
    served: Any = SimpleNamespace(version=1, bundle=SimpleNamespace(card=SimpleNamespace(heads=heads)))
    counts = AnswerCounts()
    counts.begin(served)
    labels = next(family for family in counts.collect() if family.name == "headgate_labels")
    assert {sample.labels["head"] for sample in labels.samples} == {"few", "last"}


def test_an_endpoint_without_a_reply_is_none() -> None:
    with pytest.raises(NoAnswer):
        read_counts("http://127.0.0.1:1", timeout_s=1)
