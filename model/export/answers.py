"""What a fitted model answers to a split: what the gates hold the shared model against.

    python -m model answer FITTED ROWS --split test --out answers.npz [--precision auto] [--threads N]

Writes what `python -m model score` writes of a bundle, with the calibration that the bundle's card would
have: a model that does not ship is judged without being packaged. Rows that none of its heads labels are not
answered. Does not know bundles."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..bundle.answers import decisions, probabilities
from ..events import OnEvent, ignore_event, print_event
from ..measure.score import NO_ANSWER, save_arrays
from ..rows import open_rows
from ..spec import SPLITS, ComputeChoice, SplitName
from ..train.device import Compute, choose_compute
from ..train.evaluate import predict_logits
from ..train.network import load_fitted
from ..train.tokens import cached_tokens, token_cache
from .card import head_cards


def answers(
    fitted: Path,
    rows: Path,
    split: SplitName,
    *,
    scratch: Path,
    compute: Compute,
    on_event: OnEvent = ignore_event,
) -> dict[str, NDArray[Any]]:
    """The arrays that `model.measure.score` describes, by name.

    Args:
        scratch: folder for tokens, where they can't be kept beside the rows.
        compute: where, and how exactly.

    Raises:
        BadInput: the fitted folder or the rows cannot be used.
    """
    model = load_fitted(fitted, attn_implementation=compute.attention)
    part = open_rows(rows, model.heads).split(split, model.heads)
    asked = np.logical_or.reduce([part.labelled(head) for head in model.heads])
    tokens = cached_tokens(
        part, Tokenizer.from_file(str(model.tokenizer_path)), token_cache(rows, scratch)
    ).of(np.flatnonzero(asked))
    logits = predict_logits(
        model.network.to(compute.device),
        tokens,
        compute,
        pad_id=model.pad_token_id,
        on_progress=lambda done, total: on_event({"event": "scored", "done": done, "total": total}),
    )
    arrays: dict[str, NDArray[Any]] = {}
    for head, card in head_cards(model).items():
        values = np.zeros((part.count, len(card.labels)), np.float32)
        if head in logits:  # none, where no row is asked
            values[asked] = probabilities(card, logits[head])
        chosen = decisions(card, values)
        if card.kind == "multiclass":
            chosen[~asked] = NO_ANSWER
        arrays |= {f"probabilities:{head}": values, f"decisions:{head}": chosen}
        arrays[f"targets:{head}"] = np.asarray(part.targets[head])
    return arrays


def main(argv: list[str]) -> int:
    """Let one fitted folder answer a split; prints JSON events `scored` and `done`."""
    parser = argparse.ArgumentParser(prog="python -m model answer", description=__doc__.split("\n")[0])
    parser.add_argument("fitted", type=Path, help="folder that `fit` wrote")
    parser.add_argument("rows", type=Path, help="rows folder")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .npz")
    parser.add_argument("--precision", choices=get_args(ComputeChoice), default="float32")
    parser.add_argument("--threads", type=int, help="CPU threads; default: the cores this process may use")
    given = parser.parse_args(argv)
    arrays = answers(
        given.fitted,
        given.rows,
        given.split,
        scratch=given.out.parent,
        compute=choose_compute(given.precision, given.threads),
        on_event=print_event,
    )
    save_arrays(given.out, arrays)
    print_event({"event": "done", "rows": len(next(iter(arrays.values()), ()))})
    return 0
