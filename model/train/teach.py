"""`python -m model teach FITTED ROWS --out DIR`: a fitted model's logits for every row of a split.

Writes `<head>.npy` float32 (N, L_h) for each of the model's heads, for labelled and unlabelled rows. The
shared model is distilled from those of the training split; labels are checked against them too. Does not know
the student."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
from tokenizers import Tokenizer

from ..events import OnEvent, print_event
from ..files import replacing
from ..rows import open_rows
from ..spec import SPLITS, ComputeChoice, SplitName
from .device import choose_compute
from .evaluate import predict_logits
from .fit import quiet_libraries
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
    parser.add_argument("--precision", choices=get_args(ComputeChoice), default="auto")
    given = parser.parse_args(argv)
    quiet_libraries()
    teach(
        given.fitted,
        given.rows,
        given.out,
        split=given.split,
        threads=given.threads,
        precision=given.precision,
        on_event=print_event,
    )
    return 0


def teach(
    fitted: Path,
    rows_folder: Path,
    out: Path,
    *,
    split: SplitName = "train",
    threads: int | None,
    precision: ComputeChoice,
    on_event: OnEvent,
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
        on_progress=lambda done, total: on_event({"event": "taught", "done": done, "total": total}),
    )
    files = {head: out / f"{head}.npy" for head in logits}
    for head, values in logits.items():
        with replacing(files[head]) as file:
            np.save(file, values)
    on_event({"event": "done", "rows": part.count, "heads": list(files)})
    return files
