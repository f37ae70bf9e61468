"""Whether `torch.compile` pays in training on this machine: forward and backward, as they are and compiled.

    HEADGATE_DATA=… python -m benchmarks.compile WORK [--rows 512] [--rounds 3] [--shapes all|two]

The packaged encoder with the heads of configs/feelings.yaml, its real texts in batches as trained; no
optimizer step, which is compiled in no variant. Every round passes the same rows through all variants, one
after another; the first pass, which compiles, is timed apart. Compiled code is not kept: its cache is a
folder that is removed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_rows import CONFIGS, merged_rows
from tests.support.machine import describe_machine
from tests.support.result import Measure, report

SHAPES = (32, 64)
"""Lengths that a batch is padded to where shapes are few, in tokens; the recipe's `max_length` is last."""

Pair = tuple[Any, Any]
"""Token ids and mask of a batch, (B, T) each."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to call the network."""

    name: str
    compiled: bool
    few_shapes: bool


VARIANTS = (
    Variant("as it is", compiled=False, few_shapes=False),
    Variant("compiled, dynamic shapes", compiled=True, few_shapes=False),
    Variant("as it is, two lengths", compiled=False, few_shapes=True),
    Variant("compiled, two lengths", compiled=True, few_shapes=True),
)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile", description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="folder for the merged rows")
    parser.add_argument("--rows", type=int, default=512, help="rows a pass")
    parser.add_argument("--rounds", type=int, default=3, help="passes of each variant after the first")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    parser.add_argument(
        "--shapes", choices=("all", "two"), help="only batches as long as they are, or padded"
    )
    options = parser.parse_args(arguments)
    variants = [v for v in VARIANTS if options.shapes in (None, "two" if v.few_shapes else "all")]
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="headgate-compile-") as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        measures = compare(
            options.work,
            variants,
            rows=options.rows,
            rounds=options.rounds,
            threads=options.threads,
        )
    return report("compile", measures, machine)


def compare(
    place: Path, variants: Sequence[Variant], *, rows: int, rounds: int, threads: int | None
) -> list[Measure]:
    """Rates of the variants, and when each compiled one has paid for its first pass.

    Args:
        place: where the merged rows go.
        rows: rows a pass.
        rounds: passes of each variant that count.
    """
    import torch

    from flows.config.load import load_project
    from model.bundle.batches import plan_batches
    from model.rows import open_rows
    from model.spec import BackboneSpec
    from model.train.backbone import load_encoder, load_tokenizer, resolve
    from model.train.device import choose_compute
    from model.train.network import MultiHeadNetwork
    from model.train.tokens import tokenise

    recipe = load_project(CONFIGS / "feelings.yaml").train
    compute, backbone = choose_compute("auto", threads), resolve(BackboneSpec(name="offline"))
    folder = open_rows(merged_rows("feelings", place))
    texts = [text for text, _ in zip(folder.split("train", {}).texts(), range(rows), strict=False)]
    tokens = tokenise(texts, load_tokenizer(backbone, recipe.max_length))
    batches = plan_batches(
        tokens.lengths,
        batch_rows=recipe.batch_rows,
        batch_tokens=recipe.batch_tokens,
        seed=recipe.seed,
        epoch=0,
    )
    plain = [tokens.padded(batch, 0) for batch in batches]
    put = {
        False: [(torch.from_numpy(ids), torch.from_numpy(mask)) for ids, mask in plain],
        True: [tuple(map(torch.from_numpy, widened(ids, mask))) for ids, mask in plain],
    }
    network = MultiHeadNetwork(
        load_encoder(backbone, attn_implementation=compute.attention),
        {name: len(head.labels) for name, head in folder.heads.items()},
        pooling=recipe.pooling,
        dropout=recipe.dropout,
    )
    network.encoder.get_input_embeddings().requires_grad_(False)  # type: ignore[operator, union-attr]
    network.train()

    def one_pass(called: Callable[..., Mapping[str, Any]], pairs: list[Any]) -> float:
        started_s = time.perf_counter()
        for ids, mask in pairs:
            with compute.autocast():
                loss = sum(logits.square().mean() for logits in called(ids, mask).values())
            loss.backward()
            network.zero_grad(set_to_none=True)
        return time.perf_counter() - started_s

    calls = {v: torch.compile(network, dynamic=not v.few_shapes) if v.compiled else network for v in variants}
    first = {}
    for variant in variants:
        first[variant] = one_pass(calls[variant], put[variant.few_shapes])
        print(f"{variant.name}: first pass {first[variant]:.1f} s", file=sys.stderr, flush=True)
    later: dict[Variant, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            later[variant].append(one_pass(calls[variant], put[variant.few_shapes]))
    return measures_of(len(texts), first, later)


def widened(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A batch padded to the next of `SHAPES`."""
    wide = next(length for length in SHAPES if length >= ids.shape[1])
    room = ((0, 0), (0, wide - ids.shape[1]))
    return np.pad(ids, room), np.pad(mask, room)


def measures_of(
    rows: int, first: Mapping[Variant, float], later: Mapping[Variant, list[float]]
) -> list[Measure]:
    """Rates from the median pass; what a compiled variant's first pass took beyond that, and the rows after
    which it has been won back from the plain variant of the best rate.

    Args:
        first, later: seconds of a pass.
    """
    usual = {variant: median(seconds) for variant, seconds in later.items()}
    best = min(seconds for variant, seconds in usual.items() if not variant.compiled)
    measures = []
    for variant, seconds in usual.items():
        measures.append(Measure(variant.name, rows / seconds, "rows/s"))
        if variant.compiled:
            extra, gain = first[variant] - seconds, (best - seconds) / rows
            measures.append(Measure(f"{variant.name}: compiling", extra, "s"))
            measures.append(Measure(f"{variant.name}: against the best as it is", best / seconds, "×"))
            if gain > 0:  # else never
                measures.append(Measure(f"{variant.name}: paid for after", extra / gain, "rows"))
    return measures


if __name__ == "__main__":
    sys.exit(main())
