"""A fitted model that answers by torch in float32, eager: a process that `benchmarks.latency` times.

    python -m benchmarks.parts.torch_worker FITTED --threads N

Speaks the lines of `model.measure.timing_worker` over standard input and output:
`{"texts": […]}` → `{"total_ms": […]}`, one text a pass, from text to logits.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer

from model.train.network import load_fitted


def main() -> int:
    """Load, greet with one line, answer until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts.torch_worker")
    parser.add_argument("fitted", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = load_fitted(given.fitted, attn_implementation="eager")
    tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_length)
    print(json.dumps({"hello": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("stop"):
            break
        total_ms = []
        for text in order["texts"]:
            begin = time.perf_counter_ns()
            ids = torch.tensor([tokenizer.encode(text).ids])
            with torch.inference_mode():
                logits = model.network(ids, torch.ones_like(ids))
            [values.numpy() for values in logits.values()]
            total_ms.append((time.perf_counter_ns() - begin) / 1e6)
        print(json.dumps({"total_ms": total_ms}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
