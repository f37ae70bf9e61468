"""Training on one GPU: rows/s and share of its bfloat16 matrix rate, beside `transformers.Trainer`.

Runs alone on a machine with `model/`, `benchmarks/`, `tests/support/`, torch, transformers and accelerate:
nothing is downloaded, the encoder has DistilBERT's shape and random weights, and the rows are random tokens
of one length (32, then 128). The matrix rate is that of a large bfloat16 product, measured first. --quick
takes a much smaller encoder on any device, a CPU too, and decides no goal.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.support.contract import CannotMeasure, Report, run
from tests.support.measures import Measure, at_least, at_most, undecided

GOAL = "35% of the matrix rate at 128 tokens, 3 × Trainer"
QUICK_S, WHOLE_S = 20, 300
LENGTHS = (32, 128)
"""Tokens a row."""

CHECKED_STEPS = 8
"""Steps whose losses are compared with a CPU's."""

LABELS = (3, 27, 77)
"""Of the three heads, all multiclass."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is computed."""

    layers: int
    hidden: int
    rows: int
    """Trained on, once."""
    batch_tokens: int
    """Of Headgate; Trainer has batches of 32 rows."""
    vocabulary: int
    """Different tokens."""
    matrix: int
    """Side of the square matrices that are multiplied to find the matrix rate."""


FULL = Size(layers=6, hidden=768, rows=65_536, batch_tokens=32_768, vocabulary=30_522, matrix=8192)
TINY = Size(layers=1, hidden=32, rows=64, batch_tokens=1024, vocabulary=500, matrix=128)


def measure(options: argparse.Namespace) -> Report:
    """Both sides at both lengths."""
    import torch

    if not options.quick and not torch.cuda.is_available():
        raise CannotMeasure("no CUDA device here: run it on a machine with one, or with --quick")
    size = TINY if options.quick else FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rate = matrix_rate(size.matrix, device)
    measures = [
        Measure(f"bfloat16 product of {size.matrix:,}²", rate / 1e12, "TFLOP/s"),
        Measure(
            f"losses of {CHECKED_STEPS} steps, beside a CPU in float32",
            losses_differ(size),
            "",
            at_most(0.02),
        ),
    ]
    for length in LENGTHS:
        measures += measures_at(length, size, rate)
    small = "the encoder is tiny, and the device may be a CPU"
    return Report(list(undecided(measures, small)) if options.quick else measures)


def measures_at(length: int, size: Size, rate: float) -> Iterator[Measure]:
    """Both sides at one length; `rate` in FLOP/s."""
    (ours, way, host_ms), plain = headgate_seconds(length, size), trainer_seconds(length, size)
    label = f"{length} tokens"
    rows_per_s, tokens = size.rows / ours, size.rows * length
    yield Measure(f"{label}: Headgate", rows_per_s, "rows/s")
    yield Measure(f"{label}: Headgate", tokens / ours, "tokens/s")
    share = tokens * flops_per_token(length, size) / ours / rate
    goal = at_least(35) if length == max(LENGTHS) else None
    yield Measure(f"{label}: Headgate, share of the matrix rate", 100 * share, "%", goal)
    yield Measure(f"{label}: Headgate, texts end to end (0: padded)", float(way == "packed"))
    yield Measure(f"{label}: Headgate, host's part of a step", host_ms, "ms a step")
    yield Measure(f"{label}: Trainer with bf16", size.rows / plain, "rows/s")
    yield Measure(f"{label}: Headgate by Trainer", plain / ours, "×", at_least(3))


def flops_per_token(length: int, size: Size) -> float:
    """Of forward and backward pass: 6 for each weight of the layers, 12·T·D a layer for attention
    (Kaplan et al. 2020, table 1, and twice that for the backward pass); embeddings and heads left out."""
    weights = 12 * size.hidden**2 * size.layers
    return 6 * weights + 12 * length * size.hidden * size.layers


def matrix_rate(side: int, device: Any) -> float:
    """FLOP/s of a square bfloat16 product, the best of several rounds."""
    import torch

    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(5):
        _wait(device)
        started_s = time.perf_counter()
        for _ in range(10):
            a @ b
        _wait(device)
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - started_s))
    return best


def losses_differ(size: Size) -> float:
    """Largest relative difference of a loss between this device in bfloat16 and the CPU in float32, over the
    first steps of one small training: of texts of mixed lengths, so that padding counts too."""
    import numpy as np
    import torch

    from model.train.device import Compute, choose_compute

    small = replace(size, layers=min(size.layers, 2), rows=256, batch_tokens=1024)
    curves = []
    for compute in (choose_compute("bfloat16", None), Compute(torch.device("cpu"), "float32", 2)):
        training = _training(small, compute, [*range(8, 40)] * 8, dropout=0.0)
        training.run()
        curves.append([point["loss"] for point in training.history.steps[:CHECKED_STEPS]])
    there, here = np.array(curves[0]), np.array(curves[1])
    return float(np.max(np.abs(there - here) / np.abs(here)))


def network_of(size: Size, attention: str, dropout: float = 0.1) -> Any:
    """The network with random weights, in float32."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    from model.train.network import MultiHeadNetwork

    torch.manual_seed(17)
    config = DistilBertConfig(
        vocab_size=size.vocabulary,
        n_layers=size.layers,
        dim=size.hidden,
        hidden_dim=4 * size.hidden,
        n_heads=max(1, size.hidden // 64),
    )
    encoder = DistilBertModel._from_config(config, attn_implementation=attention)
    labels = {f"head{i}": n for i, n in enumerate(LABELS)}
    return MultiHeadNetwork(encoder, labels, pooling="mean", dropout=dropout)


def random_rows(length: int, rows: int, size: Size) -> tuple[Any, dict[str, Any]]:
    """Token ids (N, T) and targets of each head (N,)."""
    import numpy as np

    rng = np.random.default_rng(17)
    ids = rng.integers(1, size.vocabulary, (rows, length)).astype(np.int32)
    return ids, {f"head{i}": rng.integers(0, n, rows).astype(np.int32) for i, n in enumerate(LABELS)}


def headgate_seconds(length: int, size: Size) -> tuple[float, str, float]:
    """Seconds of Headgate's training steps over all rows, once, after a short training to warm up; who
    computed the encoder (`Training.way`); and the median time of a step's call: where it is shorter than the
    step, the device never waits for the host."""
    from model.train.device import choose_compute

    compute = choose_compute("bfloat16", None)
    for count in (min(size.rows, 8 * size.batch_tokens // length), size.rows):
        training, calls = _training(size, compute, [length] * count), []
        step = training._step

        def timed(*given: Any, step: Any = step, calls: list[float] = calls) -> None:
            started_s = time.perf_counter()
            step(*given)
            calls.append(1000 * (time.perf_counter() - started_s))

        training._step = timed
        seconds = training.run().seconds
    return seconds, training.way, sorted(calls)[len(calls) // 2]


def _training(size: Size, compute: Any, lengths: list[int], dropout: float = 0.1) -> Any:
    """A training of one epoch on random texts of these lengths, in a folder that goes with the process."""
    import numpy as np

    from model.spec import BackboneSpec, FitJob, HeadSpec, TrainSpec
    from model.train.loop import Training
    from model.train.rows import TrainingData, TrainingRows
    from model.train.tokens import Tokens

    heads = {
        f"head{i}": HeadSpec(kind="multiclass", labels=tuple(map(str, range(n))))
        for i, n in enumerate(LABELS)
    }
    longest = max(lengths)
    recipe = TrainSpec(
        epochs=1,
        batch_rows=max(1, size.batch_tokens // longest),
        batch_tokens=size.batch_tokens,
        max_length=longest,
        learning_rate=1e-3,  # so that a few steps change the losses
        head_learning_rate=1e-2,
        frozen_embeddings=False,
        distillation=0.0,
        keep_best=False,
    )

    def rows_of(part: list[int]) -> TrainingRows:
        ids, targets = random_rows(longest, len(part), size)
        kept = np.arange(longest) < np.array(part)[:, None]
        tokens = Tokens(ids[kept], np.concatenate([[0], np.cumsum(part)]).astype(np.int64))
        return TrainingRows(tokens, np.arange(len(part)), np.ones(len(part), np.float32), targets)

    return Training(
        network_of(size, compute.attention, dropout),
        FitJob(
            heads=heads,
            backbone=BackboneSpec(),
            train=recipe,
            rows="",
            out=tempfile.mkdtemp(prefix="headgate-gpu-"),
        ),
        compute,
        TrainingData(rows_of(lengths), rows_of(lengths[:64]), pad_id=0),
        key="gpu",
        on_event=lambda event: None,
    )


def trainer_seconds(length: int, size: Size) -> float:
    """Seconds of `Trainer.train` over equal rows with bf16, its other settings at their defaults and batches
    of 32."""
    import torch
    from transformers import Trainer, TrainingArguments

    ids, targets = random_rows(length, size.rows, size)

    class Plain(torch.nn.Module):
        """Our network; the sum of the heads' mean cross-entropies."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network_of(size, "sdpa")

        def forward(self, input_ids: Any, attention_mask: Any, **targets: Any) -> dict[str, Any]:
            """Loss of one batch."""
            logits = self.network(input_ids, attention_mask)
            losses = [torch.nn.functional.cross_entropy(logits[h], t) for h, t in targets.items()]
            return {"loss": torch.stack(losses).sum()}

    class Rows(torch.utils.data.Dataset[dict[str, Any]]):
        def __len__(self) -> int:
            return size.rows

        def __getitem__(self, index: int) -> dict[str, Any]:
            row = {"input_ids": torch.from_numpy(ids[index]).long(), "attention_mask": torch.ones(length)}
            return row | {head: torch.tensor(int(t[index])) for head, t in targets.items()}

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=Plain(),
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=32,
                bf16=True,
                use_cpu=not torch.cuda.is_available(),
                remove_unused_columns=False,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=Rows(),
        )
        return float(trainer.train().metrics["train_runtime"])


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(run(measure))
