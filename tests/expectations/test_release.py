"""All gates on files of evidence: sound evidence passes, evidence that cannot be judged fails."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expectations.gates.release import REQUIRED, judge_release
from expectations.gates.selftest import Evidence, synthetic_evidence
from expectations.spec import GateRules, ReferenceRules, SliceRule
from expectations.verdict import Verdict
from model.measure.majority import majority_answer, repeated
from model.references import AnswersRef, Measured, ScoresRef, TimingRef

EVIDENCE: Evidence = synthetic_evidence(rows=2000)
RULES = GateRules(resamples=400)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """The synthetic evidence as files; every bundle's digest is its label."""
    arrays = {
        f"{kind}:{name}": getattr(scores, kind)
        for name, scores in EVIDENCE.scores.items()
        for kind in ("targets", "decisions")
    }
    np.savez(tmp_path / "scores.npz", **arrays)
    labels = ["shared", *(f"baseline:{name}" for name in EVIDENCE.heads)]
    timings = EVIDENCE.timings
    columns = {name: getattr(timings, name).tolist() for name in ("block", "bundle", "text", "total_ms")}
    known = {"peak_rss_mb": timings.peak_rss_mb, "bundle_bytes": timings.bundle_bytes}
    digests = {label: label for label in labels}
    write(tmp_path / "timing.json", {"requests": columns, **known, "digest": digests, "threads": 2})
    requests = {"late_ms": [0.1] * 150, "latency_ms": [8.0] * 150, "status": [200] * 150}
    served = {"rate_per_s": RULES.http_rate_per_s, "threads": 2, "bundle_sha256": "shared"}
    write(tmp_path / "http.json", {**requests, "version": ["1"] * 150, **served, "peak_rss_mb": 200.0})
    scores = tmp_path / "scores.npz"
    references = {}
    for name, sound in EVIDENCE.scores.items():
        answer = majority_answer(
            EVIDENCE.heads[name].primary_metric, sound.kind, sound.targets, len(sound.labels)
        )
        np.savez(
            tmp_path / f"{name}.npz",
            allow_pickle=False,
            **{
                "targets": sound.targets,
                "decisions:majority": repeated(answer, len(sound.targets)),
                "decisions:bag_of_words": sound.decisions,
            },
        )
        references[name] = AnswersRef(
            path=str(tmp_path / f"{name}.npz"), sha256=digest(tmp_path / f"{name}.npz")
        )
    return Measured(
        scores={
            label: ScoresRef(path=str(scores), sha256=digest(scores), bundle_sha256=label) for label in labels
        },
        timing=reference(tmp_path / "timing.json"),
        http=reference(tmp_path / "http.json"),
        references=references,
    )


def write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content))


def reference(path: Path) -> TimingRef:
    return TimingRef(path=str(path), sha256=digest(path))


def judged(measured: Measured, rules: GateRules = RULES) -> Verdict:
    return judge_release(EVIDENCE.heads, measured, rules, champion_bundle=None, dataset=None)


def test_sound_evidence_passes_every_gate(measured: Measured) -> None:
    verdict = judged(measured)
    assert (verdict.gate, verdict.outcome, verdict.reasons) == ("release", "pass", ())
    subjects = {finding.subject for finding in verdict.findings}
    assert {*EVIDENCE.heads, "first model", "A/A control", "p95 over HTTP at 25/s", "peak memory"} <= subjects
    assert "slices" not in REQUIRED


def test_evidence_that_was_changed_since_it_was_measured_fails(measured: Measured) -> None:
    Path(measured.http.path).write_text("{}")
    verdict = judged(measured)
    assert verdict.outcome == "fail" and "http.json" in verdict.reasons[0]
    assert [finding.subject for finding in verdict.findings] == ["evidence"]


def test_answers_of_references_that_were_changed_or_are_of_other_rows_fail(measured: Measured) -> None:
    path = Path(measured.references["topic"].path)
    with np.load(path) as arrays:
        fewer = {name: array[:100] for name, array in arrays.items()}
    np.savez(path, allow_pickle=False, **fewer)
    verdict = judged(measured)
    assert verdict.outcome == "fail" and "topic.npz" in verdict.reasons[0]
    moved = {**measured.references, "topic": AnswersRef(path=str(path), sha256=digest(path))}
    verdict = judged(replace(measured, references=moved))
    assert verdict.outcome == "fail" and "different rows" in verdict.reasons[0]


def test_evidence_without_references_decides_nothing_unless_they_are_off(measured: Measured) -> None:
    bare = replace(measured, references={})
    verdict = judged(bare)
    open_ones = {finding.subject for finding in verdict.findings if finding.outcome == "inconclusive"}
    assert open_ones == {
        f"{head} vs {what}" for head in EVIDENCE.heads for what in ("majority", "bag of words")
    }
    off = replace(RULES, references=ReferenceRules(majority="off", bag_of_words="off"))
    assert judged(bare, off).outcome == "pass"


def test_evidence_that_is_malformed_fails(measured: Measured) -> None:
    write(Path(measured.timing.path), {"requests": {"block": [0]}})
    verdict = judged(replace(measured, timing=reference(Path(measured.timing.path))))
    assert verdict.outcome == "fail" and "The timings lack bundle" in verdict.reasons[0]


def test_slices_without_a_dataset_fail(measured: Measured) -> None:
    verdict = judged(measured, replace(RULES, slices=(SliceRule(column="source", margin=0.1),)))
    assert verdict.outcome == "fail" and "gates.slices" in verdict.reasons[0]


def test_baselines_of_further_seeds_are_judged_and_need_no_timings(measured: Measured) -> None:
    three = replace(RULES, baseline_seeds=3)
    missing = judged(measured, three)
    assert missing.outcome == "inconclusive" and "Baseline 2 of 3: 0 answers" in missing.reasons[0]
    more = {
        f"baseline:{head}:{number}": replace(measured.scores[f"baseline:{head}"], bundle_sha256=f"{number}")
        for head in EVIDENCE.heads
        for number in (2, 3)
    }
    whole = judged(replace(measured, scores={**measured.scores, **more}), three)
    assert whole.outcome == "pass"
    seeds = {finding.subject: finding.figures.get("baseline_seeds") for finding in whole.findings}
    assert {seeds[head] for head in EVIDENCE.heads} == {3}


def test_changed_answers_of_a_further_seed_fail(measured: Measured) -> None:
    ref = measured.scores["baseline:topic"]
    more = {f"baseline:{head}:2": replace(ref, sha256="0" * 64) for head in EVIDENCE.heads}
    verdict = judged(replace(measured, scores={**measured.scores, **more}), replace(RULES, baseline_seeds=2))
    assert verdict.outcome == "fail" and [one.subject for one in verdict.findings] == ["evidence"]
