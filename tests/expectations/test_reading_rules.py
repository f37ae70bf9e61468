"""The data gate on what the encoder reads of the texts: unknown tokens and texts that are cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expectations.data.check import CheckResult
from expectations.data.gate import DataVerdict, judge_data
from expectations.known import Known
from expectations.spec import DataRules
from model.spec import SPLITS, HeadSpec

Heads = dict[str, HeadSpec]
Write = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def result(judged: DataVerdict, rule: str, head: str | None = None) -> CheckResult:
    [found] = [one for one in judged.results if one.check.rule == rule and head in (None, one.check.head)]
    return found


def counts(rows: int = 100, truncated: int = 0, unknown: int = 0, unread: int = 0) -> dict[str, int]:
    """Of texts of ten tokens each."""
    return {
        "rows": rows, "truncated": truncated, "tokens": 10 * rows, "unknown": unknown, "unread": unread
    }  # fmt: skip


@pytest.mark.parametrize(
    ("share", "outcome", "verdict"),
    [
        (0.09, "met", "pass"),
        (0.1, "tolerated", "pass"),
        (0.5, "tolerated", "pass"),
        (0.51, "not met", "fail"),
    ],
)
def test_unknown_tokens_are_named_from_a_tenth_and_stop_above_a_half(
    share: float,
    outcome: str,
    verdict: str,
    rows: list[Any],
    heads: Heads,
    write_dataset: Write,
    tmp_path: Path,
) -> None:
    # Only the test texts of one head are of another language: on the whole it would be a third.
    strange = {
        "train": counts(),
        "validation": counts(),
        "test": counts(unknown=round(1000 * share), unread=3),
    }
    known = dict.fromkeys(SPLITS, counts())
    tokens = {"splits": known, "heads": {"topic": strange, "mood": known}, "sources": {"letters": known}}
    judged = judge_data(
        write_dataset(rows, heads), DataRules(), heads, tmp_path / "out", Known(token_lengths=tokens)
    )
    found = result(judged, "unknown_tokens", "topic")
    assert (found.outcome, found.observed, judged.verdict.outcome) == (outcome, share, verdict)
    assert f"in the test texts {round(1000 * share)} of 1,000 tokens, and 3 of 100 texts" in found.reason
    assert ("choose an encoder of their language" in found.reason) == (outcome != "met")
    assert result(judged, "unknown_tokens", "mood").outcome == "met"


@pytest.mark.parametrize(
    ("cut", "outcome", "verdict"),
    [(9, "met", "pass"), (10, "tolerated", "pass"), (80, "tolerated", "pass"), (81, "not met", "fail")],
)
def test_truncation_is_named_from_a_tenth_and_stops_above_four_fifths(
    cut: int,
    outcome: str,
    verdict: str,
    rows: list[Any],
    heads: Heads,
    write_dataset: Write,
    tmp_path: Path,
) -> None:
    known = dict.fromkeys(SPLITS, counts())
    tokens = {"splits": known, "heads": {"topic": known | {"train": counts(truncated=cut)}}, "sources": {}}
    judged = judge_data(
        write_dataset(rows, heads), DataRules(), heads, tmp_path / "out", Known(token_lengths=tokens)
    )
    found = result(judged, "truncation", "topic")
    assert (found.outcome, judged.verdict.outcome) == (outcome, verdict)
    assert f"of the train texts {cut} of 100" in found.reason
    assert ("raise `train.max_length`" in found.reason) == (outcome != "met")
    assert result(judged, "truncation", "mood").outcome == "not looked at"  # nothing was counted


def test_a_source_that_the_encoder_does_not_read_is_named_though_it_hides_in_its_heads(
    rows: list[Any], heads: Heads, write_dataset: Write, tmp_path: Path
) -> None:
    known, few = dict.fromkeys(SPLITS, counts()), dict.fromkeys(SPLITS, counts(rows=6, unknown=60))
    strange = dict.fromkeys(SPLITS, counts(rows=7, truncated=7, unknown=70, unread=7))
    tokens = {
        "splits": known,
        "heads": {"topic": known, "mood": known},
        "sources": {"letters": known, "chats": strange, "three": few},  # `three` has 18 texts: too few
    }
    judged = judge_data(
        write_dataset(rows, heads), DataRules(), heads, tmp_path / "out", Known(token_lengths=tokens)
    )
    unknown, cut = result(judged, "source_unknown_tokens"), result(judged, "source_truncation")
    assert (unknown.outcome, unknown.observed, cut.outcome) == ("not met", 1.0, "not met")
    assert "in source chats 210 of 210 tokens, and 21 of 21 texts hold no other" in unknown.reason
    assert judged.verdict.outcome == "pass"  # a warning: its heads are read
