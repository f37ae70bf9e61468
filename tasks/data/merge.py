"""Merge the sources into one dataset folder. Does not know formats or joins (`sources`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.spec import HeadSpec
from report.progress import Step
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec


@task(name="merge", task_run_name="merge", cache_policy=NO_CACHE)
def merge(
    sources: Mapping[str, SourceSpec],
    heads: Mapping[str, HeadSpec],
    split: SplitSpec,
    *,
    base: Path,
    out: Path,
) -> DatasetRef:
    """One row per distinct text, targets of all sources joined, as a folder named by its content.

    Raises:
        sources.errors.DataError: a file, a column or a label is not what the configuration says; all
            problems that could be found at once.
    """
    read: set[str] = set()
    with Step("merge sources", unit="rows") as step:

        def follow(what: str, rows: int) -> None:
            read.add(what)
            step.to(rows, None, what)

        dataset = build_dataset(
            dict(sources),
            dict(heads),
            split,
            base,
            out,
            on_progress=follow,
        )
        rows = ", ".join(f"{name} {count:,}" for name, count in dataset.rows.items())
        with contextlib.suppress(OSError):  # of a folder that others made
            os.utime(dataset.path)  # those that were used last are kept
        what = f"{dataset.observations:,} rows read" if read else "the same files as before"
        step.outcome = f"{what} → {rows}"
    return dataset
