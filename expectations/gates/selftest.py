"""The gates judge themselves: a model ties with itself, and copies broken on purpose are rejected.

`python -m expectations.gates.selftest` runs it on synthetic evidence; `run_selftest` runs it on the evidence
of a real model, whose own answers are then broken. Pure arrays: nothing is trained or timed. A case is right
only if the finding that should object does, and no other does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from expectations.gates.accuracy import judge_accuracy
from expectations.gates.latency import judge_latency
from expectations.gates.memory import judge_memory
from expectations.gates.scores import HeadScores
from expectations.gates.timings import Timings
from expectations.spec import GateRules
from expectations.verdict import Outcome, Verdict, combine
from model.spec import HeadSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What the gates look at: one model's answers, and timings of it and of its baselines."""

    heads: Mapping[str, HeadSpec]
    scores: Mapping[str, HeadScores]
    """Head → answers of the sound model, which here is its own baseline."""
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One sound or broken copy, what should object to it, and what did."""

    name: str
    expected: Mapping[str, Outcome]
    """Subject of the finding that should object → its outcome; empty: everything should pass."""
    verdict: Verdict

    @property
    def objections(self) -> dict[str, Outcome]:
        """Findings that did not pass."""
        return {f.subject: f.outcome for f in self.verdict.findings if f.outcome != "pass"}

    @property
    def right(self) -> bool:
        """Whether exactly the expected findings objected, each in the expected way."""
        return self.objections == dict(self.expected)


def run_selftest(evidence: Evidence, rules: GateRules) -> list[Case]:
    """Every case on this evidence. Floors and the champion are left out: they are about one model's level."""
    rules = replace(rules, floors={}, label_floors={}, max_calibration_error={})

    def judged(
        name: str,
        expected: Mapping[str, Outcome],
        *,
        scores: Mapping[str, HeadScores] = evidence.scores,
        baselines: Mapping[str, HeadScores] = evidence.scores,
        timings: Timings = evidence.timings,
    ) -> Case:
        gates = (
            judge_accuracy(scores, baselines, rules, evidence.heads),
            judge_latency(timings, rules, list(evidence.heads)),
            judge_memory(timings, rules, list(evidence.heads)),
        )
        return Case(name=name, expected=expected, verdict=combine(gates))

    cases = [judged("against itself", {})]
    for head, sound in evidence.scores.items():
        for what, broken in broken_answers(sound):
            cases.append(judged(f"{head}: {what}", {head: "fail"}, scores={**evidence.scores, head: broken}))
    first = next(iter(evidence.heads))
    kept = {head: scores for head, scores in evidence.scores.items() if head != first}
    cases.append(judged(f"{first}: no baseline", {first: "inconclusive"}, baselines=kept))
    cases.append(judged(f"{first}: no answers", {first: "inconclusive"}, scores=kept))
    for name, expected, timings in broken_timings(evidence.timings, rules):
        cases.append(judged(name, expected, timings=timings))
    return cases


def broken_answers(sound: HeadScores) -> Iterator[tuple[str, HeadScores]]:
    """Copies of one head's answers as a broken model would give them: what is broken, the answers."""
    labels = len(sound.labels)
    if sound.kind == "multiclass":
        yield "labels permuted", replace(sound, decisions=(sound.decisions + 1) % labels)
        yield "weights zeroed", replace(sound, decisions=np.zeros_like(sound.decisions))
        rarest = int(np.bincount(sound.targets[sound.labelled], minlength=labels).argmin())
        yield "a bias added", replace(sound, decisions=np.full_like(sound.decisions, rarest))
    else:
        yield "labels permuted", replace(sound, decisions=np.roll(sound.decisions, 1, axis=1))
        yield "weights zeroed", replace(sound, decisions=np.zeros_like(sound.decisions))
        yield "a bias added", replace(sound, decisions=np.ones_like(sound.decisions))
    probabilities = np.full((sound.targets.shape[0], labels), 1 / labels, dtype=np.float32)
    probabilities[0, 0] = np.nan
    yield "a probability is NaN", replace(sound, probabilities=probabilities)


def broken_timings(sound: Timings, rules: GateRules) -> Iterator[tuple[str, Mapping[str, Outcome], Timings]]:
    """Copies of the timings with something wrong: what is, which finding should object, the timings."""
    shared = sound.bundle == "shared"
    alone = [name for name in sound.bundles if name.startswith("baseline:")]
    both = shared | (sound.bundle == "control")
    limit = rules.max_latency_ratio if len(alone) > 1 else rules.max_single_head_ratio
    champion: dict[str, Outcome] = {"latency vs champion": "fail"} if "champion" in sound.bundles else {}

    def slower(at: np.ndarray[tuple[int], np.dtype[np.bool_]], by_ms: float) -> Timings:
        return replace(sound, total_ms=sound.total_ms + by_ms * at)

    baselines = sum(
        float(np.median(sound.of(name))) for name in sound.bundles if name.startswith("baseline:")
    )
    sleep_ms = 1.5 * max(limit, rules.max_champion_latency_ratio) * baselines
    ratio: dict[str, Outcome] = {"latency vs baselines": "fail", **champion}
    yield "a sleep in the predictor", ratio, slower(both, sleep_ms)
    over: dict[str, Outcome] = {**ratio, "p95 of one request": "fail"}
    yield "a sleep beyond the budget", over, slower(both, sleep_ms + 1.1 * rules.budget_p95_ms)
    noise = float(np.median(sound.of("shared")))
    yield "a noisy machine", {"A/A control": "inconclusive"}, slower(sound.bundle == "control", noise)
    yield "other threads", {"threads": "fail"}, replace(sound, threads=rules.latency_threads + 2)
    nan = np.where(shared & (np.cumsum(shared) == 1), np.nan, sound.total_ms)
    broken: dict[str, Outcome] = {"A/A control": "fail", "p95 of one request": "fail", **ratio}
    yield "a latency is NaN", broken, replace(sound, total_ms=nan)
    total = sum(sound.peak_rss_mb[name] for name in alone)
    memory_limit = rules.max_memory_ratio if len(alone) > 1 else rules.max_single_head_ratio
    heavy = {**sound.peak_rss_mb, "shared": max(2 * sound.peak_rss_mb["shared"], 1.01 * memory_limit * total)}
    objects: dict[str, Outcome] = {"peak memory vs baselines": "fail"}
    if heavy["shared"] > rules.max_memory_mb:
        objects["peak memory"] = "fail"
    yield "doubled memory", objects, replace(sound, peak_rss_mb=heavy)


def synthetic_evidence(seed: int = 17, *, rows: int = 4000, blocks: int = 20, texts: int = 20) -> Evidence:
    """Answers that are right four times in five for a multiclass and a multilabel head, and quiet timings."""
    rng = np.random.default_rng(seed)
    heads = {
        "topic": HeadSpec(kind="multiclass", labels=("a", "b", "c", "d", "e")),
        "emotion": HeadSpec(kind="multilabel", labels=("p", "q", "r", "s", "t", "u")),
    }
    topic = rng.integers(0, 5, rows, dtype=np.int32)
    answers = np.where(rng.random(rows) < 0.8, topic, rng.integers(0, 5, rows)).astype(np.int32)
    emotion = (rng.random((rows, 6)) < np.linspace(0.1, 0.4, 6)).astype(np.int8)
    answered = np.where(rng.random((rows, 6)) < 0.8, emotion, 1 - emotion).astype(np.int8)
    topic[: rows // 10] = -1  # unlabelled rows and cells, as real data has them
    emotion[-rows // 10 :] = -1
    scores = {
        "topic": HeadScores(
            kind="multiclass", labels=heads["topic"].labels, targets=topic, decisions=answers
        ),
        "emotion": HeadScores(
            kind="multilabel", labels=heads["emotion"].labels, targets=emotion, decisions=answered
        ),
    }
    names = ("shared", "control", "baseline:topic", "baseline:emotion")
    block, text = np.divmod(np.arange(blocks * texts), texts)
    quiet = Timings(
        block=np.tile(block, len(names)),
        bundle=np.repeat(np.array(names), block.size),
        text=np.tile(text, len(names)),
        total_ms=rng.gamma(100, 0.05, size=len(names) * block.size),
        peak_rss_mb=dict.fromkeys(names, 180.0),
        bundle_bytes=dict.fromkeys(names, 90_000_000),
        threads=GateRules().latency_threads,
    )
    return Evidence(heads=heads, scores=scores, timings=quiet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each case; 0 if the gates judged all of them rightly, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m expectations.gates.selftest", description="Try the gates on broken copies."
    )
    parser.add_argument("--seed", type=int, default=17, help="of the synthetic evidence")
    cases = run_selftest(synthetic_evidence(parser.parse_args(arguments).seed), GateRules())
    width = max(len(case.name) for case in cases)
    for case in cases:
        objections = ", ".join(f"{subject} {outcome}" for subject, outcome in case.objections.items())
        sys.stdout.write(
            f"{'right' if case.right else 'WRONG'}  {case.name:<{width}}  {objections or 'all pass'}\n"
        )
    wrong = sum(not case.right for case in cases)
    sys.stdout.write(f"{len(cases)} cases, {wrong} judged wrongly\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
