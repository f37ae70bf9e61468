"""Lets a bundle answer a split: what the accuracy gate judges.

    python -m model score BUNDLE ROWS --split test --out scores.npz [--threads N]

Writes per head H of the bundle `probabilities:H` float32 (N, L), `decisions:H` (multiclass int32 (N,),
multilabel int8 (N, L)) and `targets:H` as in the rows. A row that none of the bundle's heads labels is not
answered: its probabilities are 0, its decisions -1 or no label. Knows bundles and rows; imports no torch.
Does not judge.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..bundle.answers import decisions
from ..bundle.reader import Bundle
from ..events import print_event
from ..faults import fault
from ..files import replacing
from ..rows import open_rows
from ..spec import SPLITS, HeadSpec, SplitName

CHUNK_ROWS = 1024
"""Texts that are sorted by length and answered together, between two progress events."""
NO_ANSWER = -1
"""Decision of a multiclass head for a row that was not answered."""


def score(
    bundle: Bundle,
    rows: Path,
    split: SplitName,
    *,
    older: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, NDArray[Any]]:
    """The arrays described above, by name.

    Args:
        older: the bundle was trained on other data, as the champion may be: heads, their kinds and labels may
            differ. Targets are then those of all heads of the rows, in their label order; probabilities and
            decisions those of all heads of the bundle, in its order.

    Raises:
        BadInput: the rows are damaged, or (unless `older`) heads, labels or their order are not the bundle's.
        TextError: a text cannot be read.
    """
    heads = {name: HeadSpec(kind=head.kind, labels=head.labels) for name, head in bundle.card.heads.items()}
    if older:
        heads = open_rows(rows).heads
    part = open_rows(rows, heads).split(split, heads)
    asked = np.zeros(part.count, np.bool_)
    for head in heads:
        asked |= part.labelled(head)
    rows_asked = np.flatnonzero(asked)
    probabilities = {
        h: np.zeros((part.count, len(c.labels)), np.float32) for h, c in bundle.card.heads.items()
    }
    # The longer of both, so that a file with a line too many is read to its end, and refused.
    lines = zip_longest(part.texts(), asked.tolist(), fillvalue=False)
    texts, done = (str(text) for text, ask in lines if ask), 0
    with ThreadPoolExecutor(1) as beside:

        def read() -> Future[list[list[int]]]:
            return beside.submit(bundle.token_ids, list(islice(texts, CHUNK_ROWS)))

        following = read()
        while tokens := following.result():
            following = read()  # while these are answered
            at = rows_asked[done : done + len(tokens)]
            for head, values in bundle.probabilities_of(tokens).items():
                probabilities[head][at] = values
            done += len(tokens)
            on_progress(done, len(rows_asked))
    arrays: dict[str, NDArray[Any]] = {}
    for head, card in bundle.card.heads.items():
        arrays[f"probabilities:{head}"] = probabilities[head]
        answers = decisions(card, probabilities[head])
        if card.kind == "multiclass":
            answers[~asked] = NO_ANSWER
        arrays[f"decisions:{head}"] = answers
    return arrays | {f"targets:{head}": np.asarray(part.targets[head]) for head in heads}


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an uncompressed `.npz` file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
        fault("scores_written")
    fault("scores_made")


def main(argv: list[str]) -> int:
    """Score one bundle on one split; prints JSON events `scored` and `done`."""
    parser = argparse.ArgumentParser(prog="python -m model score", description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("rows", type=Path, help="rows folder")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .npz")
    parser.add_argument("--threads", type=int, help="CPU threads; default: the cores this process may use")
    parser.add_argument("--older", action="store_true", help="heads and labels may differ from the rows'")
    given = parser.parse_args(argv)
    # The threads do not divide a run but answer one each: what a text is answered does not depend on it.
    bundle = Bundle.load(given.bundle, threads=1, at_once=given.threads or len(os.sched_getaffinity(0)))
    split = cast("SplitName", given.split)
    arrays = score(bundle, given.rows, split, older=given.older, on_progress=_print_progress)
    save_arrays(given.out, arrays)
    rows = len(next(iter(arrays.values()), ()))
    print_event({"event": "done", "rows": rows, "digest": bundle.digest})
    return 0


def _print_progress(done: int, total: int) -> None:
    print_event({"event": "scored", "done": done, "total": total})
