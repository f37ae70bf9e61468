"""The section on training says of each model what it took and what it lacked."""

from __future__ import annotations

from model.spec import HeadSpec
from report.release.training_section import training_section

HEADS = {"topic": HeadSpec(kind="multiclass", labels=("a", "b"))}


def test_a_baseline_that_lacks_rows_says_so_and_others_nothing() -> None:
    known = {"precision": "float32", "bytes": 2**20, "fit_seconds": 12.0, "cached": True}
    shown = str(training_section(HEADS, {}, {"baseline:topic": known | {"unseen": 0.0123}, "shared": known}))
    assert "at most 1.2%" in shown and shown.count("Fitted without") >= 1
    assert "Fitted without" not in str(training_section(HEADS, {}, {"shared": known}))
