"""Padding on the real sets: share of the computed tokens, as trained here and in shuffled batches of 32.

    HEADGATE_DATA=… python -m benchmarks.padding

Trains nothing: the rows of the ready configurations are tokenised and dealt into the first epoch's batches.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_rows import CONFIGS, merged_rows
from flows.config.load import load_project
from model.bundle.batches import padding_share, plan_batches
from model.rows import open_rows
from model.spec import BackboneSpec
from model.train.backbone import load_tokenizer, resolve
from model.train.tokens import tokenise
from tests.support.machine import describe_machine
from tests.support.result import Measure, at_most, report

SETS = ("feelings", "customer_support", "toxicity", "two_label_sets")
PLAIN_ROWS = 32


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.padding", description=__doc__.split("\n")[0]
    ).parse_args(arguments)
    measures = []
    with tempfile.TemporaryDirectory(prefix="headgate-padding-") as folder:
        for name in SETS:
            train = load_project(CONFIGS / f"{name}.yaml").train
            tokenizer = load_tokenizer(resolve(BackboneSpec(name="offline")), train.max_length)
            rows = merged_rows(name, Path(folder) / name)
            lengths = tokenise(open_rows(rows).split("train", {}).texts(), tokenizer).lengths
            planned = plan_batches(
                lengths,
                batch_rows=train.batch_rows,
                batch_tokens=train.batch_tokens,
                seed=train.seed,
                epoch=0,
            )
            label = f"{name}, {len(lengths):,} rows"
            measures += [
                Measure(label, 100 * padding_share(planned, lengths), "% of tokens", at_most(5)),
                Measure(f"{label}, shuffled", 100 * shuffled_share(lengths), "% of tokens"),
            ]
    return report("padding", measures, describe_machine())


def shuffled_share(lengths: NDArray[np.int64]) -> float:
    """Padding of batches of 32 rows in random order, each as long as its longest row."""
    order = np.random.default_rng(17).permutation(len(lengths))
    batches = [order[start : start + PLAIN_ROWS] for start in range(0, len(order), PLAIN_ROWS)]
    return padding_share(batches, lengths)


if __name__ == "__main__":
    sys.exit(main())
