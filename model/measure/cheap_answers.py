"""Lets two cheap references answer the test rows of one head: what a model must be better than.

    python -m model reference ROWS HEAD --metric accuracy --out answers.npz [--only majority]

Writes `targets` as in the rows and `decisions:majority`, `decisions:bag_of_words` (multiclass int32 (N,),
multilabel int8 (N, L)). Knows rows; imports no torch. Does not judge.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.card import METRICS
from ..errors import BadInput
from ..events import print_event
from ..rows import open_rows
from ..spec import REFERENCES, HeadSpec, ReferenceName
from .bag_of_words import bag_of_words_answers
from .majority import majority_answer, repeated
from .score import save_arrays


def cheap_answers(
    folder: Path, name: str, head: HeadSpec, wanted: tuple[ReferenceName, ...]
) -> dict[str, NDArray[Any]]:
    """The arrays described above, by name.

    Args:
        folder: the rows folder.
        name: the head.

    Raises:
        BadInput: the rows are damaged, or have no such head.
    """
    rows = open_rows(folder, {name: head})
    test = rows.split("test", {name: head})
    arrays: dict[str, NDArray[Any]] = {"targets": np.asarray(test.targets[name])}
    if "majority" in wanted:
        train = np.asarray(rows.split("train", {name: head}).targets[name])
        answer = majority_answer(head.primary_metric, head.kind, train, len(head.labels))
        arrays["decisions:majority"] = repeated(answer, test.count)
    if "bag_of_words" in wanted:
        arrays["decisions:bag_of_words"] = bag_of_words_answers(rows, name, head)
    return arrays


def main(argv: list[str]) -> int:
    """Answer for one head; prints a JSON event `done`."""
    parser = argparse.ArgumentParser(prog="python -m model reference", description=__doc__.split("\n")[0])
    parser.add_argument("rows", type=Path, help="rows folder")
    parser.add_argument("head", help="name of the head")
    parser.add_argument("--metric", choices=METRICS, required=True, help="what the head is compared by")
    parser.add_argument("--only", choices=REFERENCES, nargs="+", default=list(REFERENCES))
    parser.add_argument("--out", type=Path, required=True, help="file to write, .npz")
    given = parser.parse_args(argv)
    known = open_rows(given.rows).heads
    if given.head not in known:
        raise BadInput(f"{given.rows}: no head {given.head!r}; it has {', '.join(known)}")
    head = replace(known[given.head], metric=given.metric)
    arrays = cheap_answers(given.rows, given.head, head, tuple(given.only))
    save_arrays(given.out, arrays)
    print_event({"event": "done", "rows": len(arrays["targets"])})
    return 0
