"""`python -m model teach FITTED ROWS --out DIR`: a fitted model's logits for every row of a split.

Writes `<head>.npy` float32 (N, L_h) for each of the model's heads, labelled rows or not: what the shared
model is distilled from (the training split), and what labels are checked against. Does not know the
student.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ..rows import open_rows
from ..spec import SPLITS, SplitName
from .device import Precision, choose_compute
from .evaluate import predict_logits
from .fit import quiet_libraries, tell_as_json
from .loop import Tell
from .network import load_fitted
from .tokens import cached_tokens, token_cache


def main(argv: list[str]) -> int:
    """Command line: `teach FITTED ROWS --out DIR [--split NAME]`."""
    parser = argparse.ArgumentParser(prog="python -m model teach", description=__doc__)
    parser.add_argument("fitted", type=Path, help="fitted folder of the teacher")
    parser.add_argument("rows", type=Path, help="rows folder")
    parser.add_argument("--split", choices=SPLITS, default="train", help="split that is answered")
    parser.add_argument("--out", type=Path, required=True, help="folder for the .npy files")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    arguments = parser.parse_args(argv)
    quiet_libraries()
    teach(
        arguments.fitted,
        arguments.rows,
        arguments.out,
        split=arguments.split,
        threads=arguments.threads,
        precision=arguments.precision,
        tell=tell_as_json,
    )
    return 0


def teach(
    fitted: Path,
    rows_folder: Path,
    out: Path,
    *,
    split: SplitName = "train",
    threads: int | None,
    precision: Precision,
    tell: Tell,
) -> dict[str, Path]:
    """Write the logits and return head → file.

    Raises:
        BadInput: the fitted folder or the rows cannot be used.
    """
    compute = choose_compute(precision, threads)
    model = load_fitted(fitted, attn_implementation=compute.attention)
    part = open_rows(rows_folder).split(split, {})
    tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    out.mkdir(parents=True, exist_ok=True)
    tokens = cached_tokens(part, tokenizer, token_cache(rows_folder, out))
    logits = predict_logits(
        model.network.to(compute.device),
        tokens,
        compute,
        pad_id=model.pad_token_id,
        on_progress=lambda done, total: tell({"event": "taught", "done": done, "total": total}),
    )
    files = {}
    for head, values in logits.items():
        temporary = out / f".{head}.{os.getpid()}.npy"
        np.save(temporary, values)
        files[head] = out / f"{head}.npy"
        temporary.replace(files[head])
    tell({"event": "done", "rows": part.count, "heads": list(files)})
    return files
