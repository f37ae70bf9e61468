"""Verdicts: only what was looked at and is finite can pass, and only a pass can approve."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.verdict import (
    ApprovedVersion,
    Finding,
    NotApproved,
    Outcome,
    Verdict,
    combine,
    verdict_from_json,
)
from report.verdict_table import COLUMNS, verdict_rows

OUTCOMES: tuple[Outcome, ...] = ("pass", "fail", "inconclusive")


def finding(outcome: Outcome = "pass", **figures: float | int | str | None) -> Finding:
    return Finding(subject="topic", outcome=outcome, reason="seen", figures=figures)


@given(st.lists(st.sampled_from(OUTCOMES), max_size=6))
def test_all_must_pass_and_there_must_be_some(outcomes: list[Outcome]) -> None:
    verdict = Verdict(gate="accuracy", findings=tuple(finding(outcome) for outcome in outcomes))
    assert (verdict.outcome == "pass") == (bool(outcomes) and set(outcomes) == {"pass"})
    assert (verdict.outcome == "fail") == ("fail" in outcomes)
    assert bool(verdict.reasons) == (verdict.outcome != "pass")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_pass_beside_a_figure_that_is_not_finite_cannot_be_made(value: float) -> None:
    with pytest.raises(ValueError, match="lower is"):
        finding("pass", lower=value)
    finding("fail", lower=value)
    raw = {
        "gate": "accuracy",
        "findings": [{"subject": "a", "outcome": "pass", "reason": "", "figures": {"x": value}}],
    }
    with pytest.raises(ValueError, match="never passes"):
        verdict_from_json(raw)


def test_an_unknown_outcome_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        finding("passed")  # type: ignore[arg-type]


def test_a_verdict_survives_json_and_its_stored_outcome_is_not_believed() -> None:
    verdict = Verdict(gate="latency", findings=(finding("fail", lower=math.nan, n=3, metric="p95 ms"),))
    raw = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    raw["outcome"] = "pass"
    read = verdict_from_json(raw)
    assert read.outcome == "fail"
    assert read.findings[0].figures == {"lower": "nan", "n": 3, "metric": "p95 ms"}


def test_a_gate_that_was_not_asked_or_looked_at_nothing_is_not_passed() -> None:
    passed = Verdict(gate="accuracy", findings=(finding(),))
    assert combine([passed]).outcome == "pass"
    assert combine([passed, Verdict(gate="latency", findings=())]).outcome == "inconclusive"
    assert combine([passed], required=("accuracy", "latency")).outcome == "inconclusive"
    assert combine([passed], required=("accuracy",)).outcome == "pass"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_only_a_pass_approves(outcome: Outcome) -> None:
    with pytest.raises(NotApproved, match=outcome):
        ApprovedVersion(
            name="m",
            version=1,
            bundle_sha256="0" * 64,
            verdict=Verdict(gate="release", findings=(finding(outcome),)),
        )


def rows() -> list[dict[str, str]]:
    interval = {"lower": -0.0109, "upper": 0.0031, "metric": "accuracy"}
    return verdict_rows(
        Verdict(
            gate="release",
            findings=(
                finding(
                    compare="difference",
                    shared=0.81,
                    baseline=0.814,
                    difference=-0.004,
                    margin=0.015,
                    **interval,
                ),
                finding(
                    compare="ratio",
                    unit="ms",
                    shared=5.25,
                    baseline=1010.0,
                    difference=0.52,
                    limit=0.8,
                    metric="ms",
                ),
                finding(
                    compare="control", unit="ms", difference=1.01, lower=0.99, upper=1.03, tolerance=0.05
                ),
                finding(compare="budget", unit="MiB", shared=312.4, limit=2048.0),
                finding("fail", compare="budget", unit="ms", shared=math.nan, limit=1000.0),
                finding("inconclusive", compare="difference", difference=None, margin=0.015),
                finding(compare="floor", shared=0.81, limit=0.5, metric="accuracy"),
                Finding(subject="first model", outcome="pass", reason="no champion"),
            ),
        )
    )


def test_rows_say_what_was_compared() -> None:
    cells = [tuple(row[key] for key in COLUMNS)[2:] for row in rows()]
    assert cells == [
        ("0.810", "0.814", "-0.004 [-0.011, +0.003]", "-0.015", "pass"),
        ("5.2 ms", "1,010.0 ms", "0.52×", "≤ 0.8×", "pass"),
        ("–", "–", "1.01× [0.99, 1.03]", "1 ± 0.05 (± 0.15)", "pass"),
        ("312 MiB", "–", "–", "≤ 2,048 MiB", "pass"),
        ("not finite", "–", "–", "≤ 1,000 ms", "fail"),
        ("–", "–", "–", "-0.015", "inconclusive"),
        ("0.810", "–", "–", "≥ 0.5", "pass"),
        ("–", "–", "–", "–", "pass"),
    ]
