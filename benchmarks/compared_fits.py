"""What benchmarks that compare a shared model with its baselines have in common.

A baseline is trained, scored and asked for its answers once and kept; results are lines that are appended to
a file, so that a run that was stopped goes on where it was. Does not know what is compared, or how a training
is started. torch is imported where it is used: a caller may set the environment that it reads first.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, HeadSpec, TrainSpec

Fit = Callable[[FitJob], Any]
"""Trains one job to its end."""


def kept_baseline(
    head: str,
    spec: HeadSpec,
    recipe: TrainSpec,
    *,
    backbone: BackboneSpec,
    rows: Path,
    place: Path,
    fit: Fit,
) -> Path:
    """A fitted single-head model below `place`, trained with `fit` where it is not there yet.

    Beside what `fit` writes, the folder holds `scores.json` (see `scores_on_test`), written last, and where
    the recipe distils `taught/<head>.npy`, its answers on all training rows, and `teach.json`, their seconds.
    One `place` is for one rows folder.
    """
    from model.train.teach import teach

    alone = replace(recipe, distillation=0.0)
    out = place / _key(head, alone, backbone)
    if (out / "scores.json").is_file():
        return out
    job = FitJob(
        heads={head: spec}, backbone=backbone, train=alone, rows=str(rows), out=str(out), labelled_only=True
    )
    fit(job)
    if recipe.distillation:
        started_s = time.monotonic()
        teach(out, rows, out / "taught", threads=recipe.threads, precision="auto", on_event=silent)
        (out / "teach.json").write_text(json.dumps({"seconds": time.monotonic() - started_s}))
    (out / "scores.json").write_text(json.dumps(scores_on_test(out, rows, threads=recipe.threads)))
    return out


def kept_folds(
    head: str, baseline: Path, recipe: TrainSpec, *, backbone: BackboneSpec, rows: Path, place: Path, fit: Fit
) -> Path:
    """File of the answers for all training rows, made below `place` where it is not there yet: of `baseline`,
    or where the head labels a row of a model that `fit` has trained without it."""
    from model.folds import deal_folds, fill_in, write_fold
    from model.train.teach import teach

    whole, alone = open_rows(rows), replace(recipe, distillation=0.0)
    out = place / f"{_key(head, alone, backbone)}-{recipe.distillation_folds}"
    if (out / f"{head}.npy").is_file():
        return out / f"{head}.npy"
    shutil.rmtree(out, ignore_errors=True)
    spec, parts = whole.heads[head], []
    fold = deal_folds(whole.split("train", {head: spec}), head, recipe.distillation_folds, recipe.seed)
    for number in range(recipe.distillation_folds):
        cut, fitted = out / str(number), out / f"{number}-fitted"
        write_fold(whole, head, fold, number, cut)
        fit(
            FitJob(
                heads={head: spec},
                backbone=backbone,
                train=alone,
                rows=str(cut),
                out=str(fitted),
                labelled_only=True,
            )
        )
        answers = teach(
            *(fitted, cut, fitted / "taught"),
            split="test",
            threads=recipe.threads,
            precision="auto",
            on_event=silent,
        )
        parts.append((np.flatnonzero(fold == number), np.load(answers[head])))
    np.save(out / f"{head}.npy", fill_in(np.load(baseline / "taught" / f"{head}.npy"), parts))
    return out / f"{head}.npy"


def _key(head: str, alone: TrainSpec, backbone: BackboneSpec) -> str:
    """What a baseline depends on; who teaches the shared model is no part of it."""
    fields = {
        k: v for k, v in asdict(alone).items() if k not in ("distillation_teachers", "distillation_folds")
    }
    return digest(head, fields, asdict(backbone))


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


def silent(event: Mapping[str, Any]) -> None:
    """Tells nobody."""
