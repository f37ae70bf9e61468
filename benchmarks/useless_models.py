"""Models that are of no use, and sound ones, before the gates that ask for use.

Useless: made answers (one answer always, at random, right answers on the wrong rows, a label lost) beside a
baseline that is as useless, so that no relative gate objects; each is drawn with several seeds. Sound: TF-IDF
with logistic regression on real corpora, on all and on a third of their training rows, which is weaker than
a fine-tuned encoder. A label counts as lost from 5 test rows; with fewer it is named and passes. Only
the gates of accuracy, references and labels judge, with a wide margin.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parts.rows import data_folder, working_folder
from expectations.gates.accuracy import judge_accuracy
from expectations.gates.scores import HeadScores
from expectations.gates.usefulness.labels import judge_labels
from expectations.gates.usefulness.references import judge_references
from expectations.spec import GateRules
from expectations.verdict import Verdict, combine
from model.measure.bag_of_words import bag_of_words_answers
from model.measure.majority import majority_answer, repeated
from model.rows import RowsFolder, open_rows
from model.spec import HeadSpec
from sources.dataset import build_dataset
from tests.support.contract import Report, Size, run
from tests.support.known_corpora import corpora
from tests.support.measures import Measure, at_most

GOAL = "useless models deployed: 0 of 40; sound ones held back by the gates of use: 0 of 10"
QUICK_S, WHOLE_S = 15, 120
SIZES = {
    "seeds": Size(25, 3, "draws of each useless model"),
    "rows": Size((300, 1000, 3000), (1000,), "test rows of a useless model"),
}
RULES = GateRules(margin=0.1, resamples=400)
FEWEST_LOST = 5
"""Test rows of a label that is never answered from which the gate is certain."""
Numbers = NDArray[np.integer[Any]]


def measure(options: argparse.Namespace) -> Report:
    """How many useless models pass, and how many sound ones do not."""
    passed, tried = [], 0
    for rows in options.rows:
        for seed in range(options.seeds):
            for name, head, (targets, model, baseline) in useless(rows, seed):
                tried += 1
                if judged(head, targets, model, baseline, baseline).outcome == "pass":
                    passed.append(f"{name}, {rows} rows, seed {seed}")
    for one in passed:
        print(f"  deployed: {one}", flush=True)
    measures = [
        Measure("useless models tried", tried),
        Measure("useless models deployed", len(passed)),
        Measure("useless models deployed, of 40", 40 * len(passed) / tried, "", at_most(0.0)),
    ]
    if data_folder() is None or options.quick:
        return Report(measures)
    held, sound = [], 0
    with working_folder(None) as place:
        for name, head, rows in real_heads(place):
            for share in (1.0, 1 / 3):
                sound += 1
                targets, answers = sound_answers(rows, head, share)
                verdict = judged(head, targets, answers, answers, answers)
                print(f"  {name}, {share:.0%} of the training rows: {verdict.outcome}", flush=True)
                if verdict.outcome != "pass":
                    held.append(name)
                for line in (*verdict.reasons, *verdict.remarks):
                    print(f"    {line}", flush=True)
    measures += [
        Measure("sound models tried", sound),
        Measure("sound models held back", len(held), "", at_most(0)),
    ]
    return Report(measures)


def judged(head: HeadSpec, targets: Numbers, model: Numbers, baseline: Numbers, words: Numbers) -> Verdict:
    """The three gates on one head `h`."""
    scores, other, bag = (
        HeadScores(kind=head.kind, labels=head.labels, targets=targets, decisions=answers)
        for answers in (model, baseline, words)
    )
    constant = repeated(
        majority_answer(head.primary_metric, head.kind, targets, len(head.labels)), len(targets)
    )
    references = {"h": {"majority": replace(scores, decisions=constant), "bag_of_words": bag}}
    heads, shared = {"h": head}, {"h": scores}
    return combine(
        [
            judge_accuracy(shared, {"h": other}, RULES, heads),
            *judge_references(shared, references, RULES, heads),  # type: ignore[arg-type]
            judge_labels(shared, RULES, heads),
        ]
    )


SHARES: Mapping[str, tuple[float, ...]] = {
    "3 even labels": (1 / 3, 1 / 3, 1 / 3),
    "2 labels, one rare": (0.96, 0.04),
    "6 uneven labels": (0.4, 0.25, 0.15, 0.1, 0.06, 0.04),
    "20 even labels": (0.05,) * 20,
}
"""Multiclass heads → how often each label applies."""


def useless(rows: int, seed: int) -> Iterator[tuple[str, HeadSpec, tuple[Numbers, Numbers, Numbers]]]:
    """(Name, head, (targets, answers of the model, of its baseline))."""
    rng = np.random.default_rng([rows, seed])
    for name, shares in SHARES.items():
        labels = len(shares)
        head = HeadSpec(kind="multiclass", labels=tuple(map(str, range(labels))))
        targets = rng.choice(labels, rows, p=np.array(shares) / sum(shares)).astype(np.int32)
        always = np.zeros_like(targets)
        yield f"{name}: one answer always", head, (targets, always, always)
        drawn = [rng.choice(labels, rows, p=np.array(shares) / sum(shares)).astype(np.int32) for _ in "12"]
        yield f"{name}: drawn by frequency", head, (targets, drawn[0], drawn[1])
        shuffled = [rng.permutation(targets) for _ in "12"]
        yield f"{name}: right answers on the wrong rows", head, (targets, shuffled[0], shuffled[1])
        even = [rng.integers(0, labels, rows).astype(np.int32) for _ in "12"]
        yield f"{name}: drawn evenly", head, (targets, even[0], even[1])
    head = HeadSpec(kind="multiclass", labels=tuple("abcd"))
    targets = rng.choice(4, rows, p=(0.5, 0.3, 0.16, 0.04)).astype(np.int32)
    if (targets == 3).sum() >= FEWEST_LOST:
        lost = np.where(targets == 3, 0, targets).astype(np.int32)
        yield "a rare label lost", head, (targets, lost, lost)
    many = HeadSpec(kind="multilabel", labels=tuple("abcdef"))
    cells = (rng.random((rows, 6)) < (0.3, 0.2, 0.15, 0.1, 0.08, 0.06)).astype(np.int8)
    for what, answers in (
        ("never a label", np.zeros_like(cells)),
        ("every label always", np.ones_like(cells)),
        ("right answers on the wrong rows", rng.permutation(cells)),
        ("drawn by frequency", (rng.random(cells.shape) < cells.mean(0)).astype(np.int8)),
        ("a label lost", np.where(np.arange(6) == 5, 0, cells).astype(np.int8)),
    ):
        if what == "a label lost" and cells[:, 5].sum() < FEWEST_LOST:
            continue
        yield f"6 labels: {what}", many, (cells, answers, answers)


def real_heads(place: Path) -> Iterator[tuple[str, HeadSpec, RowsFolder]]:
    """(Name, head `NAME`, rows) of every head of the known corpora."""
    for folder, corpus in corpora().items():
        data = build_dataset(corpus.sources, corpus.heads, corpus.split, place, place / folder)
        rows = open_rows(Path(data.path) / "rows")
        for name, head in rows.heads.items():
            yield f"{folder} {name}", head, rows


def sound_answers(rows: RowsFolder, head: HeadSpec, share: float) -> tuple[Numbers, Numbers]:
    """(Targets, answers) of the bag of words on the test rows, taught by a share of the training rows."""
    name = next(name for name, one in rows.heads.items() if one is head)
    path = rows.folder / "train.weight.npy"
    whole = np.load(path)
    some = np.arange(len(whole)) % round(1 / share) == 0
    np.save(path, np.where(some, whole, 0).astype(np.float32))
    try:
        return np.asarray(rows.split("test").targets[name]), bag_of_words_answers(rows, name, head)
    finally:
        np.save(path, whole)


if __name__ == "__main__":
    sys.exit(run(measure))
