"""What tuned thresholds are worth: a multilabel head read at its own thresholds, and at 0.5 for all labels.

    python -m benchmarks.thresholds FITTED ROWS HEAD [--threads 2]

FITTED is a folder that `python -m model fit` wrote, ROWS the rows folder that it was fitted on. Both readings
are of the same test answers; the difference has BCa bounds over resampled rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from expectations.stats.bootstrap import Comparison, compare_cells
from model.bundle.activations import decide, probabilities
from model.measure.metrics import Floats, Ints
from model.rows import open_rows
from model.train.device import choose_compute
from model.train.evaluate import predict_logits
from model.train.network import load_fitted
from model.train.tokens import cached_tokens, token_cache
from tests.support.machine import describe_machine, usable_cores
from tests.support.result import Measure, report

CONFIDENCE, RESAMPLES, SEED = 0.95, 2000, 17


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.thresholds", description=__doc__.split("\n")[0]
    )
    parser.add_argument("fitted", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("head", help="a multilabel head")
    parser.add_argument("--threads", type=int, default=usable_cores())
    options = parser.parse_args(arguments)
    compute = choose_compute("auto", options.threads)
    model = load_fitted(options.fitted, attn_implementation=compute.attention)
    read = model.calibration[options.head]
    part = open_rows(options.rows, model.heads).split("test", model.heads)
    tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    tokens = cached_tokens(part, tokenizer, token_cache(options.rows, options.fitted))
    logits = predict_logits(model.network, tokens, compute, pad_id=model.pad_token_id)[options.head]
    known = part.labelled(options.head)
    compared = readings(
        logits[known],
        np.asarray(part.targets[options.head])[known],
        temperature=read["temperature"],
        thresholds=read["thresholds"],
    )
    label = f"{options.head}, macro-F1 of {logits.shape[1]} labels on {int(known.sum()):,} test rows"
    difference = compared.difference
    return report(
        "thresholds",
        [
            Measure(f"{label}: own thresholds", compared.shared.value, ""),
            Measure(f"{label}: 0.5 for all", compared.baseline.value, ""),
            Measure("difference", difference.value, ""),
            Measure("difference, lower bound (one-sided 95%)", difference.lower, ""),
            Measure("difference, upper bound (one-sided 95%)", difference.upper, ""),
        ],
        describe_machine(),
    )


def readings(logits: Floats, targets: Ints, *, temperature: float, thresholds: list[float]) -> Comparison:
    """Macro-F1 at the tuned thresholds (`shared`) and at 0.5 (`baseline`), and their difference.

    Args:
        logits: (N, L).
        targets: (N, L), -1 where unknown.
        thresholds: one a label, on probabilities at `temperature`.
    """
    tuned = decide("multilabel", probabilities("multilabel", logits, temperature), np.asarray(thresholds))
    plain = decide("multilabel", probabilities("multilabel", logits), 0.5)
    return compare_cells(
        targets.astype(np.int8),
        tuned.astype(np.int8),
        plain.astype(np.int8),
        average="macro",
        confidence=CONFIDENCE,
        resamples=RESAMPLES,
        seed=SEED,
    )


if __name__ == "__main__":
    sys.exit(main())
