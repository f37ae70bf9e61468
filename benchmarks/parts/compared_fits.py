"""A shared model beside its baselines: trained, scored and asked for their answers once, and kept.

Results are lines that are appended to a file, so that a run that was stopped goes on where it was. torch is
imported where it is used: a caller may set the environment that it reads first.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, TrainSpec


@dataclass(frozen=True, slots=True)
class Baselines:
    """Single-head models of one rows folder, each trained where it is not there yet."""

    rows: Path
    backbone: BackboneSpec
    fit: Callable[[FitJob, str], Any]
    """Trains a job to its end, under a title."""
    place: Path
    """Folder that keeps them; one for each rows folder."""

    def fitted(self, head: str, recipe: TrainSpec) -> Path:
        """Folder of the fitted baseline of a head.

        Beside what `fit` writes it holds `scores.json` (see `scores_on_test`), written last, and where the
        recipe distils `taught/<head>.npy`, its answers on all training rows, and `teach.json`, their seconds.
        """
        out = self.place / self._key(head, recipe)
        if (out / "scores.json").is_file():
            return out
        self._fit(head, recipe, self.rows, out)
        if recipe.distillation:
            started_s = time.monotonic()
            _answers(out, self.rows, out / "taught", recipe)
            (out / "teach.json").write_text(json.dumps({"seconds": time.monotonic() - started_s}))
        (out / "scores.json").write_text(json.dumps(scores_on_test(out, self.rows, threads=recipe.threads)))
        return out

    def out_of_fold(self, head: str, baseline: Path, recipe: TrainSpec) -> Path:
        """File of the answers for all training rows: of `baseline`, or where the head labels a row, of a
        model that was trained without it."""
        from model.folds import deal_folds, fill_in, write_fold

        whole = open_rows(self.rows)
        out = self.place / f"folds-{self._key(head, recipe)}-{recipe.distillation_folds}"
        if (out / f"{head}.npy").is_file():
            return out / f"{head}.npy"
        shutil.rmtree(out, ignore_errors=True)
        parts = []
        train = whole.split("train", {head: whole.heads[head]})
        fold = deal_folds(train, head, recipe.distillation_folds, recipe.seed)
        for number in range(recipe.distillation_folds):
            cut, fitted = out / str(number), out / f"{number}-fitted"
            write_fold(whole, head, fold, number, cut)
            self._fit(head, recipe, cut, fitted)
            answers = _answers(fitted, cut, fitted / "taught", recipe, split="test")
            parts.append((np.flatnonzero(fold == number), np.load(answers[head])))
        np.save(out / f"{head}.npy", fill_in(np.load(baseline / "taught" / f"{head}.npy"), parts))
        return out / f"{head}.npy"

    def _fit(self, head: str, recipe: TrainSpec, rows: Path, out: Path) -> None:
        alone = replace(recipe, distillation=0.0)
        heads = {head: open_rows(self.rows).heads[head]}
        job = FitJob(heads=heads, backbone=self.backbone, train=alone, rows=str(rows), out=str(out))
        self.fit(replace(job, labelled_only=True), head)

    def _key(self, head: str, recipe: TrainSpec) -> str:
        """What a baseline depends on; who teaches the shared model is no part of it."""
        fields = asdict(replace(recipe, distillation=0.0))
        own = {k: v for k, v in fields.items() if k not in ("distillation_teachers", "distillation_folds")}
        return digest(head, own, asdict(self.backbone))


def _answers(fitted: Path, rows: Path, out: Path, recipe: TrainSpec, split: str = "train") -> dict[str, Path]:
    from model.train.teach import teach

    options: dict[str, Any] = {"split": split, "threads": recipe.threads, "precision": "auto"}
    return teach(fitted, rows, out, on_event=ignore, **options)


def scores_on_test(fitted: Path, rows: Path, *, threads: int | None) -> dict[str, float]:
    """Head → its primary metric on the test rows that label it, with the calibration that ships."""
    from tokenizers import Tokenizer

    from model.train.device import choose_compute
    from model.train.evaluate import predict_logits, primary_metrics
    from model.train.network import load_fitted
    from model.train.tokens import tokenise

    compute = choose_compute("auto", threads)
    model = load_fitted(fitted, attn_implementation=compute.attention)
    part = open_rows(rows, model.heads).split("test", model.heads)
    keep = np.logical_or.reduce([part.labelled(head) for head in model.heads])
    tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    tokens = tokenise(compress(part.texts(), keep.tolist()), tokenizer)
    logits = predict_logits(model.network, tokens, compute, pad_id=model.pad_token_id)
    return primary_metrics(
        model.heads,
        logits,
        {head: targets[keep] for head, targets in part.targets.items()},
        temperatures={n: c["temperature"] for n, c in model.calibration.items()},
        thresholds={n: c["thresholds"] for n, c in model.calibration.items()},
    )


def digest(*parts: Any) -> str:
    """A short name for what a result depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def append_result(path: Path, record: Mapping[str, Any]) -> None:
    """One more line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_results(path: Path) -> list[dict[str, Any]]:
    """The records so far; a last line that was cut by a kill is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def ignore(event: Mapping[str, Any]) -> None:
    """Takes a progress event and does nothing."""
