"""The gates judge themselves on whole bundles, scored and timed in processes of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expectations.gates.selftest import Case
from expectations.spec import GateRules
from model.bundle.reader import Bundle
from tests.campaigns.gates import Bench, judged_rightly
from tests.support.broken_bundles import broken_copy, slower

ROWS = 1000
# A toy answers in a tenth of a millisecond, and this machine does other work: only gross noise counts.
RULES = GateRules(
    resamples=200, latency_threads=1, latency_requests=60, control_tolerance=0.6, margin=0.05, seed=3
)
WORDS = ("hello", "good", "bad", "day", "rain", "sun", "late", "early", "thanks", "help", "order")


def write_rows(folder: Path, bundle: Bundle) -> None:
    """Test rows whose targets are what the bundle says, with every sixth wrong, so that it is no oracle."""
    rng = np.random.default_rng(8)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(ROWS)]
    wrong, chances = np.arange(ROWS) % 6 == 0, bundle.probabilities(texts)
    content = "".join(json.dumps(text) + "\n" for text in texts).encode()
    folder.mkdir()
    (folder / "test.texts.jsonl").write_bytes(content)
    np.save(folder / "test.weight.npy", np.ones(ROWS, np.float32))
    mood = chances["mood"].argmax(axis=1).astype(np.int32)
    np.save(folder / "test.mood.npy", np.where(wrong, (mood + 1) % 3, mood).astype(np.int32))
    topics = (chances["topics"] >= 0.5).astype(np.int8)
    np.save(folder / "test.topics.npy", np.where(wrong[:, None], 1 - topics, topics).astype(np.int8))
    heads = {
        "mood": {"kind": "multiclass", "labels": ["low", "mid", "high"]},
        "topics": {"kind": "multilabel", "labels": ["weather", "delivery"]},
    }
    about = {"heads": heads, "rows": {"test": ROWS}, "digest": {"test": ""}}
    about["digest"] = dict.fromkeys(("train", "validation", "test"), "")
    (folder / "rows.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., str]) -> Path:
    """A sound bundle that takes a few milliseconds a text, and its rows."""
    folder = tmp_path_factory.mktemp("selftest")
    write_bundle(folder / "quick", 3)  # of this seed every label applies to a third of the texts
    broken_copy(folder / "quick", folder / "sound", slower("mood", 2))
    write_rows(folder / "rows", Bundle.load(folder / "sound", threads=1))
    return folder


@pytest.fixture(scope="module")
def cases(place: Path) -> dict[str, Case]:
    (place / "bench").mkdir()
    bench = Bench(place / "sound", place / "rows", place / "bench", RULES)
    return {case.name: case for case in bench.cases()}


@pytest.mark.timeout(400)
def test_every_broken_copy_is_rejected_for_the_right_reason(cases: dict[str, Case]) -> None:
    heads = [
        f"{head}: {what}"
        for head in ("mood", "topics")
        for what in ("labels shuffled", "weights zeroed", "a bias added")
    ]
    assert list(cases) == ["against itself", *heads, "a sleep in the predictor", "doubled memory"]
    wrong = {name: case.objections for name, case in cases.items() if not judged_rightly(case)}
    assert not wrong
    assert "its baseline" in cases["mood: labels shuffled"].verdict.reasons[0]
    slow = {f.subject: f.reason for f in cases["a sleep in the predictor"].verdict.findings}
    assert "sharing does not pay" in slow["latency vs baselines"]
    heavy = {f.subject: f.reason for f in cases["doubled memory"].verdict.findings}
    assert "expected at most 0.8 of the sum of the baselines" in heavy["peak memory vs baselines"]


def test_it_can_fail(cases: dict[str, Case]) -> None:
    """A copy that no finding objects to, or the wrong one does, is judged wrongly, and said to be."""
    missed = replace(cases["mood: labels shuffled"], verdict=cases["against itself"].verdict)
    assert not judged_rightly(missed)
    other = replace(cases["mood: labels shuffled"], verdict=cases["topics: labels shuffled"].verdict)
    assert not judged_rightly(other)
