"""No setting keeps another from ever having an effect: what a configuration accepts can be reached, over the
ranges of its schema; and each refusal says field, seen, expected and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from expectations.data.check import Check, CheckResult
from expectations.data.reasons import explained
from expectations.data.tables import Tables
from expectations.gates.http import HttpTimings, judge_http
from expectations.gates.limits import look_confidence
from expectations.gates.timings import Timings
from expectations.spec import DataRules, GateRules
from flows.config.schema import Project

FILE = {"rows": {"path": "rows.csv", "heads": {"topic": "topic"}}}


def refused(**sections: Any) -> list[str]:
    """What is refused of a project with some sections; empty where it is read."""
    raw = {"name": "p", "heads": {"topic": "multiclass"}, "sources": FILE, **sections}
    try:
        Project.model_validate(raw)
    except ValidationError as error:
        return str(error.errors()[0]["ctx"]["error"]).splitlines()
    return []


@settings(deadline=None, max_examples=60)
@given(
    requests=st.integers(20, 400),
    looks=st.integers(1, 10),
    confidence=st.floats(0.51, 0.9999),
    http=st.integers(20, 400),
)
def test_what_is_read_can_pass_the_rule_on_the_p95(
    requests: int, looks: int, confidence: float, http: int
) -> None:
    from expectations.gates.latency import _budget, _Ratios

    gates: dict[str, Any] = {
        "latency_requests": requests, "latency_looks": looks, "confidence": confidence, "http_requests": http
    }  # fmt: skip
    rules = GateRules(**gates)
    said = refused(gates=gates)

    def passes(look: int) -> bool:
        n = requests * look
        timings = Timings(
            block=np.arange(n) % 10, bundle=np.repeat(np.array(["shared"]), n), text=np.arange(n),
            total_ms=np.full(n, 2.0), threads=2, looks=look,
        )  # fmt: skip
        ratios = _Ratios(timings=timings, rules=rules, confidence=look_confidence(rules, look))
        return _budget(ratios).outcome == "pass"

    ideal = HttpTimings(
        rate_per_s=25.0, late_ms=np.zeros(http), latency_ms=np.full(http, 2.0), status=np.full(http, 200),
        threads=2, peak_rss_mb=100.0,
    )  # fmt: skip
    reachable = any(passes(look) for look in range(1, looks + 1))
    assert reachable != any(line.startswith("gates.latency_requests: ") for line in said)
    over_http = judge_http(ideal, rules).findings[0].outcome == "pass"
    assert over_http != any(line.startswith("gates.http_requests: ") for line in said)


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(["drift_psi", "drift_js", "drift_unseen", "truncation", "unknown_tokens"]),
    warn=st.floats(0.001, 1),
    fail=st.floats(0.001, 1),
)
def test_what_warns_can_warn_before_it_fails(name: str, warn: float, fail: float) -> None:
    section: dict[str, Any] = {f"{name}_warn": warn}
    section |= {f"{name}_fail": fail} if name.startswith("drift") else {name: {"tolerance": fail}}
    assume(warn != getattr(DataRules(), f"{name}_warn"))
    at_the_limit = Check(
        rule="drift", expected="labels as in", severity="warning", tolerance=0.0, table="figures", type="",
        kwargs={"column": "psi:topic:train", "max_value": fail}, unit="drift", warn_above=warn,
    )  # fmt: skip
    found = explained(
        CheckResult(check=at_the_limit, outcome="met"),
        Tables(frames={}, figures={"psi:topic:train": fail}, kinds={}, notes={}),
        {},
    )
    warns = found.outcome == "tolerated"
    assert warns == (refused(expectations=section) == [])


@settings(deadline=None)
@given(low=st.integers(0, 50), high=st.integers(1, 50))
def test_some_length_is_allowed(low: int, high: int) -> None:
    said = refused(expectations={"min_chars": low, "max_chars": high})
    assert bool(said) == (not range(low, high + 1))


@settings(deadline=None)
@given(
    texts=st.integers(1, 3000),
    chars=st.integers(1, 3000),
    body=st.integers(1, 13_000),
    batch=st.integers(1, 400),
    queue=st.integers(1, 400),
)
def test_the_largest_request_fits_its_body_and_its_batch(
    texts: int, chars: int, body: int, batch: int, queue: int
) -> None:
    deploy = {
        "max_texts": texts, "max_chars": chars, "max_body_bytes": body, "max_batch": batch,
        "queue_limit": queue,
    }  # fmt: skip
    largest = [
        json.dumps({"texts": given}, separators=(",", ":")) for given in (["a"] * texts, ["a" * chars])
    ]
    said = refused(deploy=deploy)
    assert (max(map(len, largest)) > body) == any("max_body_bytes: " in line for line in said)
    assert (batch > max(queue, texts)) == any("max_batch: " in line for line in said)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["file", "given", "folder"]))
def test_every_split_can_have_rows(validation: float, test: float, kind: str) -> None:
    source: dict[str, Any] = {"heads": {"topic": "topic"}, "path": "rows.csv"}
    source |= {"file": {}, "given": {"split_column": "part"}, "folder": {"path": "saved"}}[kind]
    said = refused(sources={"rows": source}, split={"validation": validation, "test": test})
    reachable = kind != "file" or (validation > 0 and test > 0 and validation + test < 1)
    assert reachable == (said == [])


@settings(deadline=None)
@given(
    epochs=st.integers(1, 12),
    patience=st.integers(1, 12),
    how=st.sampled_from([{"early_stopping": True}, {"schedule": "plateau"}, {}]),
)
def test_patience_can_run_out_before_the_end(epochs: int, patience: int, how: dict[str, Any]) -> None:
    ends_at = 1 + patience  # the first epoch is the best, and none after it is better
    said = refused(train={"epochs": epochs, "patience": patience, **how})
    assert (bool(how) and ends_at >= epochs) == bool(said)


PAIRS: dict[str, dict[str, Any]] = {
    "gates.latency_requests: saw 20, expected at least 59": {
        "gates": {"latency_requests": 20, "latency_looks": 1}
    },
    "gates.latency_requests: saw 22, expected at least 24": {"gates": {"latency_requests": 22}},
    "gates.http_requests: saw 58, expected at least 59": {"gates": {"http_requests": 58}},
    "expectations.min_chars: saw 9, expected at most": {"expectations": {"min_chars": 9, "max_chars": 5}},
    "expectations.drift_psi_warn: saw 0.3, expected at most": {"expectations": {"drift_psi_warn": 0.3}},
    "expectations.truncation_warn: saw 0.9, expected at most": {"expectations": {"truncation_warn": 0.9}},
    "gates.allow_unanswered.topic: saw 'a', which": {
        "gates": {"allow_unanswered": {"topic": ["a"]}, "label_floors": {"topic": {"a": 0.5}}}
    },
    "split.test: saw 0, expected more": {"split": {"test": 0}},
    "split.test: saw 0.6, expected less than 1 less": {"split": {"test": 0.6, "validation": 0.4}},
    "expectations.min_rows_per_split: saw 20, expected at most 16": {
        "sources": {"rows": {**FILE["rows"], "limit": 50}}
    },
    "gates.slices.0.min_rows: saw 100, expected at most 80": {
        "sources": {"rows": {**FILE["rows"], "limit": 80}},
        "gates": {"slices": [{"column": "source", "floor": 0.5}]},
    },
    "expectations.min_cardinality: saw 1.9, expected at most 1.8": {
        "heads": {"topic": {"kind": "multilabel", "labels": ["a", "b"]}},
        "expectations": {"min_cardinality": 1.9},
    },
    "train.patience: saw 2, expected at most 1": {"train": {"early_stopping": True}},
    "train.batch_tokens: saw 64, expected at least `train.max_length` (128)": {"train": {"batch_tokens": 64}},
    "deploy.max_answer_ms: saw 1000, expected at least `gates.budget_p95_ms` (2000)": {
        "gates": {"budget_p95_ms": 2000}
    },
    "deploy.poll_s: saw 5, expected less than `deploy.start_timeout_s` (4)": {
        "deploy": {"poll_s": 5, "start_timeout_s": 4}
    },
    "deploy.wait_poll_s: saw 3, expected less than": {"deploy": {"wait_poll_s": 3, "start_timeout_s": 2}},
}


@pytest.mark.parametrize("said", PAIRS)
def test_a_pair_that_excludes_itself_is_refused_in_one_line(said: str) -> None:
    [line] = refused(**PAIRS[said])
    assert line.startswith(said), line
    assert line.rpartition("; ")[2].split()[0] in ("raise", "lower") or "remove one" in line


def test_a_lowered_tolerance_needs_no_other_warning_level() -> None:
    assert refused(expectations={"truncation": {"tolerance": 0.05}}) == []


def test_defaults_can_be_reached() -> None:
    assert refused() == []
    assert replace(GateRules()).latency_requests == 200


def test_a_confidence_beside_certainty_is_refused_in_words() -> None:
    """Nearer to 1 than a look's share of the error can be told from none."""
    with pytest.raises(ValidationError) as error:
        Project.model_validate(
            {
                "name": "p",
                "heads": {"topic": "multiclass"},
                "sources": FILE,
                "gates": {"confidence": 0.9999999999999999},
            }
        )
    [found] = error.value.errors()
    assert found["loc"] == ("gates", "confidence") and found["type"] == "less_than_equal"
