"""What is registered of a run: figures and curves, gathered from the files that the run left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from expectations.spec import GateRules
from expectations.verdict import Finding, Verdict
from model.files import file_sha256
from model.references import AnswersRef, BundleRef, Measured, ScoresRef, TimingRef
from model.spec import HeadSpec
from release.registry.candidate import candidate_of, training_curves
from serving.store.manifest import SEEN_EVIDENCE, SEEN_FILE
from tests.support.runs import make_run
from tests.support.small_dataset import ROWS, make

HISTORY = {
    "steps": [{"step": 1, "loss": 0.9}, {"step": 2, "loss": 0.5}],
    "epochs": [{"step": 2, "mean": 0.8, "metrics": {"topic": 0.8}}],
}
CARD = {"metrics": {"validation": {"topic": {"accuracy": 0.8}}}}


def test_a_candidate_is_gathered_from_bundle_history_verdict_and_timings(tmp_path: Path) -> None:
    for name, content in (("card.json", CARD), ("history.json", HISTORY)):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    data = make(tmp_path, conflicts="drop")
    timing = tmp_path / "timing.json"
    timing.write_text(json.dumps({"machine": {"cpu": "x"}, "threads": 2}))
    heads = {"topic": HeadSpec(kind="multiclass", labels=("a", "b"))}
    scores = tmp_path / "s.npz"
    arrays = {"decisions:topic": np.array([1, 1, 0, -1]), "targets:topic": np.array([1, 0, 0, -1])}
    np.savez(scores, allow_pickle=False, **arrays, **{"probabilities:topic": np.zeros((4, 2), np.float32)})
    provenance = {
        "dataset_fingerprint": "f" * 16,
        "dataset_rows": {"test": 9},
        "code_digest": "c",
        "configuration_sha256": "s",
        "backbone": {"name": "offline"},
        "train": {"seed": 17},
        "versions": {"python": "3.11"},
    }
    run = make_run(tmp_path, tmp_path, heads, provenance=provenance)
    shared = BundleRef(
        path=str(tmp_path),
        fitted=str(tmp_path),
        sha256="b",
        heads=("topic",),
        precision="int8",
        bytes=1,
        fit_seconds=1.0,
    )
    figures = {"compare": "difference", "shared": 0.8, "baseline": 0.79, "difference": 0.01, "margin": 0.03}
    verdict = Verdict(
        gate="release",
        findings=(Finding(subject="topic", outcome="pass", reason="because", figures=figures),),
    )
    measured = Measured(
        scores={"shared": ScoresRef(path=str(scores), sha256="1", bundle_sha256="b")},
        timing=TimingRef(path=str(timing), sha256="2"),
        http=TimingRef(path="http.json", sha256="3"),
        references={"topic": AnswersRef(path="topic.npz", sha256="4")},
    )
    run.folder.mkdir(parents=True)
    made = candidate_of(run, shared, verdict, dataset=data.path, measured=measured, gates=GateRules())
    assert made.metrics == {
        "validation/topic/accuracy": 0.8,
        "topic/shared": 0.8,
        "topic/baseline": 0.79,
        "topic/difference": 0.01,
        "topic/limit": 0.03,
    }
    assert made.curves["train/loss"] == [(1, 0.9), (2, 0.5)]
    assert (made.bundle_sha256, made.run_name, made.code_digest) == ("b", "run", "c")
    assert made.evidence["answered"] == {"topic": {"rows": 3, "labels": {"a": 1, "b": 2}}}
    assert made.evidence["references"] == {"topic": "4"}
    assert made.evidence["scored_bundles"] == {"shared": "b"} and made.evidence["machine"] == {"cpu": "x"}
    assert made.seen == run.folder / SEEN_FILE and made.evidence[SEEN_EVIDENCE] == file_sha256(made.seen)
    assert made.configuration["heads"]["topic"]["kind"] == "multiclass"


def test_curves_by_hand() -> None:
    assert training_curves(HISTORY) == {
        "train/loss": [(1, 0.9), (2, 0.5)],
        "validation/mean": [(2, 0.8)],
        "validation/topic": [(2, 0.8)],
    }
