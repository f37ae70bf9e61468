"""What is asked of Great Expectations in the cheapest form is answered as the cells would be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, Check, Counted
from expectations.data.gx.evaluate import evaluate

LABELS = Check(
    rule="labels_known",
    expected="its labels are known ones",
    severity="critical",
    tolerance=0.0,
    table="observations",
    type=VALUES_IN_SET,
    kwargs={"column": "label", "value_set": ["a", "b"]},
)
ROWS = pd.DataFrame({"label": ["a", "b", "x", "a"], "length": [1, 2, 3, 4]})


@pytest.mark.parametrize(
    ("cells", "missing", "broken", "mostly", "outcome"),
    [
        (4, 0, [], 1.0, "met"),
        (4, 0, [2], 1.0, "not met"),
        (4, 0, [2], 0.75, "met"),
        (4, 1, [2], 0.75, "not met"),
        (4, 4, [], 1.0, "met"),  # it applies to no cell
    ],
)
def test_a_share_that_was_counted_is_judged_as_its_cells_are(
    cells: int, missing: int, broken: list[int], mostly: float, outcome: str
) -> None:
    check = replace(LABELS, kwargs={**LABELS.kwargs, "mostly": mostly})
    counted = Counted(cells=cells, missing=missing, rows=np.array(broken, dtype=np.int64))
    [found], pages = evaluate([check], {"observations": ROWS}, counted={0: counted})
    assert found.outcome == outcome
    assert (found.elements, found.count) == (cells - missing, len(broken))
    assert "label" in pages["observations"] and "maximum" not in pages["observations"]


def test_of_two_equal_checks_both_are_evaluated() -> None:
    check = replace(LABELS, type=VALUES_BETWEEN, kwargs={"column": "length", "min_value": 2})
    other = replace(check, rule="extra[1]")
    found, _ = evaluate([check, other], {"observations": ROWS})
    assert [(one.outcome, one.count) for one in found] == [("not met", 1), ("not met", 1)]
