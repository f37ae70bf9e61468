"""What looking for doubtful labels costs, as a share of merging.

The load of `benchmarks.data_scale` is merged, with labels that the heads do not list, so that each may be in
doubt. Processor time is taken, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sources.dataset as dataset
import sources.formats.read as reading
from sources.labels import find_targets
from sources.merge import all_sources, dataset_tables, findings
from tests.support.scale_rows import heads, sources, split_spec, write_load

SCANS = (
    (all_sources, "settle_labels"),
    (find_targets, "_cell_of_flags"),
    (findings, "doubtful"),
    (findings, "_doubtful"),
    (dataset_tables, "doubtful"),
    (dataset, "doubt_remarks"),
    (reading, "refuse_headers"),
)
"""Module → function in it that looks for doubts; their own calls are within them."""


def scan_share(rows: int) -> tuple[float, float]:
    """(Share of the merge's processor time that the scans take; seconds of the merge.)"""
    spent = [0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[0] += time.process_time() - start

        return call

    unlisted = {name: replace(head, labels=()) for name, head in heads().items()}
    with tempfile.TemporaryDirectory(prefix="headgate-scan-") as place, ExitStack() as stack:
        folder = Path(place)
        write_load(folder, rows)
        for module, name in SCANS:
            stack.enter_context(patch.object(module, name, timed(getattr(module, name))))
        start = time.process_time()
        dataset.build_dataset(sources(), unlisted, split_spec("off"), folder, folder / "data")
        merge = time.process_time() - start
    return spent[0] / merge, merge
