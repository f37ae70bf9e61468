"""What judging a version again came to is what a run with equal inputs finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from expectations.verdict import Finding, Verdict
from flows.parts.candidate import rejudged
from model.references import Measured, Run, ScoresRef, TimingRef
from model.spec import BackboneSpec, TrainSpec
from release.home import Home
from release.kept_evidence import KeptEvidence
from release.keys import signing_pair
from release.moves.judge_again import Judgeable
from release.registry.candidate import INPUTS_EVIDENCE
from release.registry.register import RegisteredVersion
from release.runs.judged import JudgedInputs, keep_judged, measured_of
from release.spec import RegistrySpec

SPEC = RegistrySpec()
INPUTS = "ab" * 32


def verdict(outcome: str) -> Verdict:
    return Verdict(gate="release", findings=(Finding(subject="latency", outcome=outcome, reason="so"),))  # type: ignore[arg-type]


def test_the_record_of_its_inputs_tells_the_new_verdict(tmp_path: Path) -> None:
    home = Home(tmp_path)
    place = home.runs / "first~again"
    run = Run(
        **{name: place for name in ("folder", "logs", "reports", "cache", "rows", "profile")},
        **{name: "" for name in ("encoder_sha256", "texts_sha256")},
        id="first~again",
        name="toy",
        heads={},
        head_fingerprints={},
        backbone=BackboneSpec(name="offline"),
        train=TrainSpec(),
        provenance={INPUTS_EVIDENCE: INPUTS},
    )
    registered = RegisteredVersion(name="toy", version=3, run_id="r", bundle_sha256="s", tracking_uri="")
    found = Judgeable(
        registered=registered,
        run=run,
        kept=KeptEvidence(run=run, dataset=tmp_path, bundles={}),
        gates={},
    )
    timing = TimingRef(path=str(place / "timing"), sha256="t")
    scores = {"shared": ScoresRef(path=str(place / "scores"), sha256="x", bundle_sha256="s")}
    measured = Measured(scores=scores, timing=timing, http=timing)
    old = JudgedInputs(
        name="toy",
        inputs=INPUTS,
        parts={},
        against="the former champion",
        run="first",
        dataset="d",
        scored_bundles={"shared": "s", "champion": "c"},
        measured={},
        verdict=verdict("inconclusive").to_json(),
        remarks=[],
        version=3,
    )

    def again() -> JudgedInputs | None:
        return rejudged(home, SPEC, found, champion=None, measured=measured, verdict=verdict("pass"))

    assert again() is None, "nothing is kept"
    keep_judged(home, old, signing_pair(home, "toy", SPEC)[0])
    record = again()
    assert record is not None and record.judged().outcome == "pass"
    assert (record.against, record.run, record.scored_bundles) == ("", "first", {"shared": "s"})
    assert measured_of(record, home.root) == measured
    keep_judged(home, replace(old, version=4), signing_pair(home, "toy", SPEC)[0])
    assert again() is None, "of another version"
