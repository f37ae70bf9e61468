"""Ways past the gates: evidence that is missing, broken, stale or of something else.

Each way writes the evidence files that a run leaves (scores, timings, timings over HTTP) with one thing
wrong, lets `expectations.gates.release` judge them, registers the candidate with the verdict and tries to
promote it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.gates.release import judge_release
from expectations.spec import GateRules
from expectations.verdict import NotApproved
from model.files import FileChanged, file_sha256
from model.references import AnswersRef, Measured, ScoresRef, TimingRef
from model.spec import HeadSpec
from tests.support.bypass_world import EVIL, World
from tests.support.toy_bundle import HEADS

ROWS = 1200
RULES = GateRules(resamples=200, latency_threads=1)
SPECS = {name: HeadSpec(kind=head.kind, labels=head.labels) for name, head in HEADS.items()}
LABELS = ("shared", "baseline:mood", "baseline:topics")

Arrays = dict[str, NDArray[Any]]


def _answers(seed: int = 3) -> Arrays:
    """Scores of one bundle for both heads: right four times in five."""
    rng = np.random.default_rng(seed)
    mood = np.random.default_rng(1).integers(0, 3, ROWS).astype(np.int32)
    topics = (np.random.default_rng(2).random((ROWS, 2)) < 0.3).astype(np.int8)
    decided = np.where(rng.random(ROWS) < 0.8, mood, (mood + 1) % 3).astype(np.int32)
    felt = np.where(rng.random((ROWS, 2)) < 0.9, topics, 1 - topics).astype(np.int8)
    return {
        "targets:mood": mood,
        "decisions:mood": decided,
        "probabilities:mood": np.full((ROWS, 3), 1 / 3, np.float32),
        "targets:topics": topics,
        "decisions:topics": felt,
        "probabilities:topics": np.full((ROWS, 2), 0.5, np.float32),
    }


def _cheap(name: str) -> Arrays:
    """Answers of the references for one head, worse than the bundle's."""
    targets = _answers()[f"targets:{name}"]
    worse = _answers()[f"decisions:{name}"]
    worse[:300] = 0
    return {
        "targets": targets,
        "decisions:majority": np.zeros_like(targets),
        "decisions:bag_of_words": worse,
    }


def _timings(digests: Mapping[str, str]) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    names = (*LABELS, "control")
    block, text = np.divmod(np.arange(200), 10)
    return {
        "threads": 1,
        "machine": {},
        "requests": {
            "block": np.tile(block, 4).tolist(),
            "bundle": np.repeat(names, 200).tolist(),
            "text": np.tile(text, 4).tolist(),
            "total_ms": rng.gamma(400, 0.01, 800).tolist(),
        },
        "peak_rss_mb": dict.fromkeys(names, 120.0),
        "bundle_bytes": dict.fromkeys(names, 1 << 20),
        "digest": {**digests, "control": digests["shared"]},
    }


def _http(digest: str) -> dict[str, Any]:
    n = RULES.http_requests
    return {
        "rate_per_s": RULES.http_rate_per_s,
        "threads": 1,
        "bundle_sha256": digest,
        "peak_rss_mb": 130.0,
        "late_ms": [0.2] * n,
        "latency_ms": np.random.default_rng(5).gamma(100, 0.05, n).tolist(),
        "status": [200] * n,
        "version": ["1"] * n,
    }


class Evidence:
    """The files of one candidate's evidence, sound until a way changes them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.place / "evidence"
        self.folder.mkdir()
        self.digests = {label: world.bundle(EVIL)[1] for label in LABELS}
        self.scores = {label: _answers() for label in LABELS}
        self.timing = _timings(self.digests)
        self.http = _http(self.digests["shared"])
        self.rules = RULES
        self.references = {name: _cheap(name) for name in SPECS}

    def written(self) -> Measured:
        """Write the files and refer to them as the flow's tasks do."""
        scores = {}
        for label, arrays in self.scores.items():
            path = self.folder / f"{label.replace(':', '-')}.npz"
            np.savez(path, **arrays)  # type: ignore[arg-type]
            scores[label] = ScoresRef(
                path=str(path), sha256=file_sha256(path), bundle_sha256=self.digests[label]
            )
        refs = {}
        for name, content in (("timing", self.timing), ("http", self.http)):
            path = self.folder / f"{name}.json"
            path.write_text(json.dumps(content))
            refs[name] = TimingRef(path=str(path), sha256=file_sha256(path))
        answers = {}
        for name, arrays in self.references.items():
            path = self.folder / f"reference-{name}.npz"
            np.savez(path, **arrays)  # type: ignore[arg-type]
            answers[name] = AnswersRef(path=str(path), sha256=file_sha256(path))
        return Measured(scores=scores, timing=refs["timing"], http=refs["http"], references=answers)


def judged(world: World, evidence: Evidence, measured: Measured | None = None) -> None:
    """Judge, register with the verdict whatever it is, and try to promote."""
    with world.refused(ValueError, FileChanged):
        verdict = judge_release(
            SPECS, measured or evidence.written(), evidence.rules, champion_bundle=None, dataset=None
        )
        made = replace(world.candidate(EVIL), verdict=verdict)
        registered = world.register(made)
        world.refusals += verdict.reasons[:1]
        with world.refused(NotApproved):
            world.promote(registered, made)


def _way(change: Callable[[Evidence], None]) -> Callable[[World], None]:
    def attack(world: World) -> None:
        evidence = Evidence(world)
        change(evidence)
        judged(world, evidence)

    return attack


def _probability(value: float) -> Callable[[Evidence], None]:
    def change(evidence: Evidence) -> None:
        evidence.scores["shared"]["probabilities:mood"][7, 1] = value

    return change


def _latency(value: float | None) -> Callable[[Evidence], None]:
    def change(evidence: Evidence) -> None:
        evidence.timing["requests"]["total_ms"][3] = value

    return change


def _empty_test_set(evidence: Evidence) -> None:
    for arrays in evidence.scores.values():
        for name in arrays:
            if name.startswith("targets:"):
                arrays[name] = np.full_like(arrays[name], -1)


def _no_rows(evidence: Evidence) -> None:
    for arrays in evidence.scores.values():
        for name in arrays:
            arrays[name] = arrays[name][:0]


def _missing_baseline(evidence: Evidence) -> None:
    for name in list(evidence.scores["baseline:mood"]):
        if name.endswith(":mood"):
            del evidence.scores["baseline:mood"][name]


def _missing_head(evidence: Evidence) -> None:
    for name in list(evidence.scores["shared"]):
        if name.endswith(":topics"):
            del evidence.scores["shared"][name]


def other_rows(evidence: Evidence) -> None:
    """The shared model was scored on rows that suit it."""
    shared = evidence.scores["shared"]
    keep = shared["decisions:mood"] == shared["targets:mood"]
    evidence.scores["shared"] = {name: array[keep] for name, array in shared.items()}


def easier_targets(evidence: Evidence) -> None:
    """As many rows, their targets edited to what the model says."""
    shared = evidence.scores["shared"]
    shared["targets:mood"] = shared["decisions:mood"].copy()


def _no_references(evidence: Evidence) -> None:
    evidence.references = {}


def _says_nothing(evidence: Evidence) -> None:
    """Model and baselines answer one thing always: as good as each other, and of no use."""
    for arrays in evidence.scores.values():
        arrays["decisions:mood"] = np.zeros_like(arrays["decisions:mood"])


def _rare_label_lost(evidence: Evidence) -> None:
    """Model and baselines never answer one of the labels."""
    for arrays in evidence.scores.values():
        arrays["decisions:topics"][:, 1] = 0


def references_edited(world: World) -> None:
    """The bag of words is made worse between measuring and judging."""
    evidence = Evidence(world)
    measured = evidence.written()
    worse = {**evidence.references["mood"]}
    worse["decisions:bag_of_words"] = np.zeros_like(worse["decisions:bag_of_words"])
    np.savez(measured.references["mood"].path, **worse)  # type: ignore[arg-type]
    judged(world, evidence, measured)


def _other_threads(evidence: Evidence) -> None:
    evidence.timing["threads"] = 8


def _threads_not_recorded(evidence: Evidence) -> None:
    del evidence.timing["threads"]


def _other_bytes_timed(evidence: Evidence) -> None:
    evidence.timing["digest"]["shared"] = "0" * 64


def _other_texts_timed(evidence: Evidence) -> None:
    evidence.timing["requests"]["text"][:200] = [0] * 200


def _noisy_machine(evidence: Evidence) -> None:
    slow = [ms * 1.5 for ms in evidence.timing["requests"]["total_ms"][600:]]
    evidence.timing["requests"]["total_ms"][600:] = slow


def _no_control(evidence: Evidence) -> None:
    for name, column in evidence.timing["requests"].items():
        evidence.timing["requests"][name] = column[:600]


def _http_refusals(evidence: Evidence) -> None:
    evidence.http["status"][5] = 503


def _http_slower_rate(evidence: Evidence) -> None:
    evidence.http["rate_per_s"] = 0.5


def _http_not_measured(evidence: Evidence) -> None:
    for name in ("late_ms", "latency_ms", "status", "version"):
        evidence.http[name] = []


def infinite_limit(evidence: Evidence) -> None:
    """The configuration says that anything is quick enough."""
    evidence.rules = replace(evidence.rules, max_latency_ratio=float("inf"))


def edited_after_scoring(world: World) -> None:
    """The baseline's scores are made worse between measuring and judging."""
    evidence = Evidence(world)
    measured = evidence.written()
    path = Path(measured.scores["baseline:mood"].path)
    worse = {**evidence.scores["baseline:mood"]}
    worse["decisions:mood"] = np.zeros_like(worse["decisions:mood"])
    np.savez(path, **worse)  # type: ignore[arg-type]
    judged(world, evidence, measured)


def timings_edited(world: World) -> None:
    """The timings are made better between measuring and judging."""
    evidence = Evidence(world)
    measured = evidence.written()
    quick = [ms / 10 for ms in evidence.timing["requests"]["total_ms"]]
    evidence.timing["requests"]["total_ms"] = quick
    Path(measured.timing.path).write_text(json.dumps(evidence.timing))
    judged(world, evidence, measured)


WAYS: dict[str, Callable[[World], None]] = {
    "metric is NaN: a probability is": _way(_probability(float("nan"))),
    "metric is infinite: a probability is": _way(_probability(float("inf"))),
    "latency is NaN": _way(_latency(None)),
    "latency is negative": _way(_latency(-1.0)),
    "empty test set: nothing labelled": _way(_empty_test_set),
    "empty test set: no rows": _way(_no_rows),
    "missing baseline": _way(_missing_baseline),
    "a head without answers": _way(_missing_head),
    "scored on other rows than the baseline": _way(other_rows),
    "targets edited to what the model says": _way(easier_targets),
    "latency measured at other threads": _way(_other_threads),
    "latency measured at threads that are not recorded": _way(_threads_not_recorded),
    "latency of other bytes": _way(_other_bytes_timed),
    "latency of shorter texts": _way(_other_texts_timed),
    "noisy machine": _way(_noisy_machine),
    "no A/A control": _way(_no_control),
    "an error over HTTP": _way(_http_refusals),
    "HTTP at a slower rate than declared": _way(_http_slower_rate),
    "HTTP not measured": _way(_http_not_measured),
    "infinite limit in the rules": _way(infinite_limit),
    "no answers of the references": _way(_no_references),
    "one answer always, by model and baseline": _way(_says_nothing),
    "a label never answered, by model and baseline": _way(_rare_label_lost),
    "references edited after answering": references_edited,
    "scores edited after scoring": edited_after_scoring,
    "timings edited after timing": timings_edited,
}
"""What is tried → how."""
