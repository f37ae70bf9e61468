"""What looking for doubtful labels costs, as a share of merging.

The load of `benchmarks.data_scale` is merged, with labels that the heads do not list, so that each may be in
doubt, and with some that are. Processor time is taken, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sources.dataset import build_dataset
from sources.labels import find_targets
from sources.merge import all_sources, dataset_tables, findings
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, at_most
from tests.support.scale_rows import heads, sources, split_spec, write_load

GOAL = "the scan takes at most 10% of the merge's processor time at 1M rows"
QUICK_S, WHOLE_S = 9, 90
SIZES = {"rows": Size(1_000_000, 20_000, "rows of all sources")}

SCANS = (
    (all_sources, "settle_labels"),
    (find_targets, "_cell_of_flags"),
    (findings, "doubtful"),
    (findings, "_doubtful"),
    (dataset_tables, "doubtful"),
)
"""Module → function in it that looks for doubts; their own calls are within them."""


def measure(options: argparse.Namespace) -> Report:
    """Merge once, with a clock around each scan."""
    import sources.dataset as dataset
    import sources.formats.read as reading

    spent: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.process_time() - start

        return call

    places = [*SCANS, (dataset, "doubt_remarks"), (reading, "refuse_headers")]
    unlisted = {name: replace(head, labels=()) for name, head in heads().items()}
    with tempfile.TemporaryDirectory(prefix="headgate-scan-") as place, ExitStack() as stack:
        folder = Path(place)
        write_load(folder, options.rows)
        for module, name in places:
            stack.enter_context(patch.object(module, name, timed(name, getattr(module, name))))
        start = time.process_time()
        build_dataset(sources(), unlisted, split_spec("off"), folder, folder / "data")
        merge = time.process_time() - start
    share = 100 * sum(spent.values()) / merge
    goal = at_most(10) if options.rows >= 1_000_000 else None
    return Report(
        [
            Measure("merge", merge, "s of processor time"),
            *(Measure(f"  {name}", seconds, "s") for name, seconds in sorted(spent.items())),
            Measure(f"scan of {options.rows:,} rows", share, "%", goal),
        ]
    )


if __name__ == "__main__":
    sys.exit(run(measure))
