"""The gates' self-test: sound evidence ties with itself, each broken copy is caught for its own reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expectations.gates.selftest import main, run_selftest, synthetic_evidence
from expectations.spec import GateRules

RULES = GateRules(resamples=300)
CASES = {case.name: case for case in run_selftest(synthetic_evidence(rows=1500), RULES)}


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_judged_rightly(name: str) -> None:
    assert CASES[name].right, f"{name}: {CASES[name].objections}, expected {dict(CASES[name].expected)}"


def test_a_model_against_itself_ties() -> None:
    verdict = CASES["against itself"].verdict
    assert verdict.outcome == "pass"
    assert [
        f.figures["difference"] for f in verdict.findings if f.figures.get("compare") == "difference"
    ] == [0, 0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("topic: labels permuted", "against its baseline, surely (95%) worse by 0.7"),
        ("emotion: weights zeroed", "`emotion` has macro_f1 0.0000, -0.6"),
        ("emotion: a bias added", "raise `gates.margins.emotion` (now 0.015)"),
        (
            "topic: a probability is NaN",
            "1 or more probabilities of the shared model for `topic` are no finite numbers",
        ),
        ("topic: no baseline", "0 answers of its baseline are there for `topic`"),
        ("a sleep in the predictor", "The shared model takes 2.3"),
        ("a noisy machine", "the machine is too noisy"),
        (
            "other threads",
            "timed at 4 threads, which is not what serves",
        ),
        ("doubled memory", "Peak memory is 1.00 of the sum of the baselines, too much"),
    ],
)
def test_it_is_caught_for_the_right_reason(name: str, reason: str) -> None:
    assert any(reason in said for said in CASES[name].verdict.reasons), CASES[name].verdict.reasons


def test_it_can_fail() -> None:
    """Gates as lax as these let broken copies through, and the self-test says so."""
    lax = replace(RULES, margin=0.99, max_latency_ratio=1e9)
    wrong = {case.name for case in run_selftest(synthetic_evidence(rows=600), lax) if not case.right}
    assert {"topic: labels permuted", "emotion: weights zeroed", "a sleep in the predictor"} <= wrong


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3"]) == 0
    assert capsys.readouterr().out.endswith("17 cases, 0 judged wrongly\n")
