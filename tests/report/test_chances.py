"""The section on chances shows every head, and warns of those that would hardly pass."""

from __future__ import annotations

from expectations.chances import head_chances
from expectations.spec import GateRules
from model.spec import HeadSpec
from report.chances import chances_section
from report.page import page

PROFILE = {
    "heads": {
        "topic": {"splits": {"test": {"labelled": 1600, "counts": {"a": 1000, "b": 600}}}},
        "defect": {"splits": {"test": {"labelled": 400, "counts": {"scratch": 2, "dent": 48}}}},
    }
}


def test_heads_margins_and_warnings_are_shown() -> None:
    heads = {
        "topic": HeadSpec(kind="multiclass", labels=("a", "b")),
        "defect": HeadSpec(kind="multilabel", labels=("scratch", "dent")),
        "new": HeadSpec(kind="multiclass", labels=("x", "y")),
    }
    chances = head_chances(PROFILE, heads, GateRules(margin=0.03))
    shown = page("t", "l", [chances_section([one.to_json() for one in chances])])
    assert "scratch: 2" in shown and "1,600" in shown and "80% at" in shown
    assert shown.count("label some") == 1
    assert "`defect` has 400 test rows" in shown and "`topic` has" not in shown
