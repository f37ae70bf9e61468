"""A network's answers on many rows, and its metrics on a split.

Knows inference. Does not know training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..bundle.activations import decide, probabilities
from ..bundle.batches import sorted_batches
from ..measure.calibrate import common_threshold
from ..measure.metrics import metric
from ..rows import Targets
from ..spec import HeadSpec
from .device import Compute
from .fast.encoder import quick_encoder
from .fast.packed import segments_of
from .fast.shapes import padded_lengths
from .fast.workers import Workers
from .network import MultiHeadNetwork
from .tokens import Tokens

INFERENCE_ROWS = {"cpu": 32, "cuda": 4096}
"""Rows in an inference batch on a kind of device. On a CPU the default of a training: equal shapes."""
INFERENCE_TOKENS = {"cpu": 2048, "cuda": 131_072}
"""Tokens in an inference batch on a kind of device, padding included: on a CPU more of them are no faster and
take memory, a GPU wants many."""


def predict_logits(
    network: MultiHeadNetwork,
    tokens: Tokens,
    compute: Compute,
    *,
    pad_id: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Head → logits (N, L_h), float32, in the order of the rows.

    Leaves the network in evaluation mode. `on_progress(done, total)` is called after each batch.
    """

    def put(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(compute.device)

    network.eval()
    total = len(tokens.lengths)
    result: dict[str, NDArray[np.float32]] = {}
    done = 0
    longest = int(tokens.lengths.max()) if total else 0
    shapes = padded_lengths(tokens.lengths, longest, compute.precision)
    with _quick_way(network, compute):
        kind = compute.device.type
        budget = {"batch_rows": INFERENCE_ROWS[kind], "batch_tokens": INFERENCE_TOKENS[kind]}
        for rows in sorted_batches(shapes, **budget):
            ids, mask = tokens.padded(rows, pad_id, int(shapes[rows].max()))
            with torch.inference_mode(), compute.autocast():
                told: dict[str, Any] = {"unpadded": bool(mask.all())}
                if network.packed is not None:
                    told["segments"] = segments_of(mask, put)
                logits = network(put(ids), put(mask), **told)
            for head, values in logits.items():
                if head not in result:
                    result[head] = np.empty((total, values.shape[1]), np.float32)
                result[head][rows] = values.cpu().numpy()
            done += len(rows)
            if on_progress is not None:
                on_progress(done, total)
    return result


@contextmanager
def _quick_way(network: MultiHeadNetwork, compute: Compute) -> Iterator[None]:
    """Within the block the network computes its encoder the quick way, where there is one."""
    if network.quick is not None or compute.device.type != "cpu":
        yield
        return
    dtype = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
    workers = Workers(compute.threads)
    found = quick_encoder(network, dtype, workers)
    network.quick = None if found is None else found[0]
    try:
        yield
    finally:
        network.quick = None
        workers.close()


def primary_metrics(
    heads: Mapping[str, HeadSpec],
    logits: Mapping[str, NDArray[np.float32]],
    targets: Mapping[str, Targets],
    *,
    temperatures: Mapping[str, float] | None = None,
    thresholds: Mapping[str, tuple[float, ...] | None] | None = None,
) -> dict[str, float]:
    """Head → its primary metric.

    A multilabel head without given thresholds is measured at its best common threshold: at 0.5, a head with
    rare labels scores 0 for its first epochs, so that epochs could not be compared.
    """
    values = {}
    for name, head in heads.items():
        p = probabilities(head.kind, logits[name], (temperatures or {}).get(name, 1.0))
        given = (thresholds or {}).get(name)
        threshold: NDArray[np.float64] | float | None = None if given is None else np.asarray(given)
        if head.kind == "multilabel" and threshold is None:
            threshold = common_threshold(head.primary_metric, p, targets[name])
        decisions = decide(head.kind, p, threshold)
        values[name] = metric(head.primary_metric, head.kind, decisions, targets[name], len(head.labels))
    return values
