"""How far a label's share of the test split strays when real texts are split by hash.

    HEADGATE_DATA=… python -m benchmarks.split_shares

Each corpus is merged without the splits that it comes with. A row's split may depend on nothing but the row
(decision 0007), so shares are those of a random sample. The measure is, over labels with at least 50 texts,
the root mean square of (share in test - 0.2) in units of its standard error sqrt(0.16/n): 1 says that labels
are spread as by chance, more that they are not. Beside it the largest deviation in points.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks.data_findings_sources import Corpus, corpora
from model.spec import SPLITS
from sources.dataset import build_dataset
from sources.profile.figures import profile_heads
from sources.spec import SourceSpec, SplitSpec
from tests.support.machine import describe_machine
from tests.support.result import Measure, at_most, report

FEWEST = 50
"""Texts of a label below which its share says little."""
TEST = 0.2
"""Share of the test split."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.split_shares", description=(__doc__ or "").split("\n")[0]
    )
    parser.parse_args(arguments)
    if not os.environ.get("HEADGATE_DATA"):
        parser.error("HEADGATE_DATA does not name the folder of real data")
    measures = []
    for name, corpus in corpora().items():
        with tempfile.TemporaryDirectory(prefix="headgate-shares-") as folder:
            measures += deviations(name, corpus, Path(folder))
    return report("split_shares", measures, describe_machine())


def deviations(name: str, corpus: Corpus, folder: Path) -> list[Measure]:
    """The measures of one corpus, its rows split by hash."""
    split = SplitSpec(test=TEST, near_duplicates="off")
    dataset = build_dataset(without_splits(corpus.sources), corpus.heads, split, folder, folder / "data")
    profile = profile_heads(pl.read_parquet(dataset.path / "dataset.parquet"), dataset.heads)
    found = []
    for head, about in profile.items():
        strays, largest = [], (0.0, "")
        for label in about["labels"]:
            by_split = {split: int(about["splits"][split]["counts"][label]) for split in SPLITS}
            texts = sum(by_split.values())
            if texts < FEWEST:
                continue
            stray = by_split["test"] / texts - TEST
            strays.append(stray / math.sqrt(TEST * (1 - TEST) / texts))
            largest = max(largest, (abs(stray) * 100, f"{texts:,} texts"))
        title = f"{name}, {head}: {len(strays)} labels"
        spread = math.sqrt(sum(stray**2 for stray in strays) / len(strays))
        # The root mean square of k standard normal numbers is below 1 + 3/sqrt(2k) in 99.9% of cases.
        found.append(Measure(f"{title}, spread", spread, "", at_most(1 + 3 / math.sqrt(2 * len(strays)))))
        found.append(Measure(f"{title}, largest ({largest[1]})", largest[0], "points"))
    return found


def without_splits(sources: dict[str, SourceSpec]) -> dict[str, SourceSpec]:
    """The same files, no split given."""
    found = {}
    for name, spec in sources.items():
        paths = spec.path if isinstance(spec.path, dict) else {"": spec.path}
        for part, path in paths.items():
            found[f"{name}{part}"] = replace(spec, path=path, split=None, split_column=None)
    return found


if __name__ == "__main__":
    sys.exit(main())
