"""`python -m model fit JOB.json`: from a job to a fitted folder.

Brings rows, encoder, network and training together and writes what the contract names:
`weights.safetensors`, `network.json`, `tokenizer.json`, `history.json`, `calibration.json`, and last
`fit.json`, whose presence says that the folder is complete. Progress goes to standard output, one JSON
object a line. Does not know bundles or other models.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..code import code_digest
from ..errors import BadInput
from ..faults import fault
from ..job import read_fit_job
from ..measure.metrics import majority_metric
from ..rows import RowsFolder, SplitRows, open_rows
from ..spec import FitJob, HeadSpec, SplitName
from .backbone import ResolvedBackbone, load_encoder, load_tokenizer, resolve
from .calibrate import Calibration, calibrate
from .checkpoint import save_tensors, write_json
from .device import Compute, choose_compute
from .evaluate import head_metrics, predict_logits
from .loop import Tell, Training
from .losses import label_shares
from .network import MultiHeadNetwork, describe_network
from .processes import end_processes
from .rows import TrainingRows
from .tokens import Tokens, cached_tokens, token_cache


def main(argv: list[str]) -> int:
    """Command line: `fit JOB.json`."""
    parser = argparse.ArgumentParser(prog="python -m model fit", description=__doc__)
    parser.add_argument("job", type=Path, help="job file (see model.spec.FitJob)")
    job = read_fit_job(parser.parse_args(argv).job)
    quiet_libraries()
    try:
        fit(job, tell_as_json)
    finally:
        end_processes()
    return 0


def tell_as_json(event: Mapping[str, Any]) -> None:
    """One event as one JSON line on standard output."""
    sys.stdout.write(json.dumps(event, allow_nan=False) + "\n")
    sys.stdout.flush()


def quiet_libraries() -> None:
    """Keep transformers from writing bars and loading reports; `model.train.backbone` reads the report itself."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def fit(job: FitJob, tell: Tell) -> dict[str, Any]:
    """Train, calibrate and write the fitted folder; returns the content of `fit.json`.

    Where a launcher started several processes (`model.train.processes`), each calls this; the main one writes and
    tells, the others return an empty dict when the training is over.

    Raises:
        BadInput: the rows, the encoder or the recipe cannot be used.
        TrainingDiverged: a loss is not finite.
    """
    started_s = time.monotonic()
    recipe, out = job.train, Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "fit.json").unlink(missing_ok=True)
    rows = open_rows(Path(job.rows), job.heads)
    backbone = resolve(job.backbone)
    compute = choose_compute(recipe.precision, recipe.threads)
    torch.manual_seed(recipe.seed)
    encoder = load_encoder(backbone, attn_implementation=compute.attention)
    _check_length(encoder, recipe.max_length, backbone)
    tokenizer = load_tokenizer(backbone, recipe.max_length)
    pad_id = int(getattr(encoder.config, "pad_token_id", None) or 0)

    def load(split: SplitName) -> TrainingRows:
        part = rows.split(split, job.heads)
        tokens = cached_tokens(part, tokenizer, token_cache(rows.folder, out))
        return _select(part, tokens, job) if split == "train" else _all(part, tokens)

    train, validation = load("train"), load("validation")
    _check_labelled(job.heads, train, validation)
    network = MultiHeadNetwork(
        encoder,
        {name: len(head.labels) for name, head in job.heads.items()},
        pooling=recipe.pooling,
        dropout=recipe.dropout,
    )
    for name, head in job.heads.items():
        shares = label_shares(head.kind, train.targets[name], len(head.labels))
        network.start_at_frequencies(name, head.kind, torch.from_numpy(shares))
    processes = compute.processes
    if not processes.is_main:
        torch.manual_seed(recipe.seed + processes.rank)  # other rows, other dropout
    training = Training(
        network,
        job.heads,
        recipe,
        compute,
        train=train,
        validation=validation,
        pad_id=pad_id,
        folder=out,
        key=_training_key(job, rows, backbone),
        tell=tell if processes.is_main else lambda event: None,
    )
    history = training.run()
    if not processes.is_main:
        return {}
    calibration, metrics = _calibrate(network, job.heads, validation, compute, pad_id)

    write_json(out / "history.json", {"steps": history.steps, "epochs": history.epochs})
    write_json(out / "calibration.json", {n: dataclasses.asdict(c) for n, c in calibration.items()})
    identity = {
        "name": backbone.name,
        "revision": backbone.revision,
        "sha256": backbone.sha256,
        "layers": backbone.layers,
    }
    description = describe_network(
        network, job.heads, max_length=recipe.max_length, pad_token_id=pad_id, backbone=identity
    )
    write_json(out / "network.json", description)
    (out / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    save_tensors(out / "weights.safetensors", network.state_dict())
    fault("weights_written")
    facts = {
        **_facts(job, compute, training),
        "validation": metrics,
        "below_majority": _below_majority(job.heads, train, validation, history.epochs),
        "backbone": identity,
        "total_seconds": time.monotonic() - started_s,
    }
    write_json(out / "fit.json", facts)
    fault("fit_made")
    training.forget()
    for name in facts["below_majority"]:
        print(
            f"head {name!r} never beat its majority class on validation rows: nothing was learnt for it",
            file=sys.stderr,
        )
    tell(
        {
            "event": "done",
            "out": str(out),
            "seconds": facts["seconds"],
            "rows_per_s": facts["rows_per_s"],
            "best_epoch": facts["best_epoch"],
            "validation": metrics,
        }
    )
    return facts


def _select(part: SplitRows, tokens: Tokens, job: FitJob) -> TrainingRows:
    """The training rows of the job: all, or those that one of its heads labels."""
    keep = np.ones(part.count, bool)
    if job.labelled_only:
        keep = np.logical_or.reduce([part.labelled(name) for name in job.heads])
    teachers = {name: _teacher(Path(file), part, name, job) for name, file in job.teachers.items()}
    numbers = np.flatnonzero(keep)
    if len(numbers) == part.count:
        return dataclasses.replace(_all(part, tokens), teachers=teachers)
    starts, lengths = tokens.offsets[numbers], tokens.lengths[numbers]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    # Position of every kept token: where its text began, plus how far into the text it is.
    where = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    return TrainingRows(
        tokens=Tokens(tokens.ids[where], offsets),
        numbers=numbers,
        weights=part.weights[numbers],
        targets={name: target[numbers] for name, target in part.targets.items()},
        teachers={name: logits[numbers] for name, logits in teachers.items()},
    )


def _all(part: SplitRows, tokens: Tokens) -> TrainingRows:
    return TrainingRows(tokens, np.arange(part.count), part.weights, part.targets)


def _teacher(file: Path, part: SplitRows, head: str, job: FitJob) -> NDArray[np.float32]:
    shape = (part.count, len(job.heads[head].labels))
    try:
        logits: NDArray[np.float32] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"teachers.{head}: {file} cannot be read: {error}") from error
    if logits.shape != shape or logits.dtype != np.float32:
        raise BadInput(f"teachers.{head}: seen {logits.dtype} {logits.shape}, expected float32 {shape}")
    if not np.isfinite(logits).all():
        raise BadInput(f"teachers.{head}: {file} holds logits that are not finite; teach again")
    return logits


def _check_labelled(heads: Mapping[str, HeadSpec], train: TrainingRows, validation: TrainingRows) -> None:
    problems = [
        f"head {name!r}: no labelled row in the split {split!r}"
        for split, part in (("train", train), ("validation", validation))
        for name in heads
        if not (part.targets[name] != -1).any()
    ]
    if problems:
        raise BadInput("; ".join(problems))


def _check_length(encoder: Any, max_length: int, backbone: ResolvedBackbone) -> None:
    positions = getattr(encoder.config, "max_position_embeddings", None)
    if positions is None or positions <= 0:
        return
    # RoBERTa and its kin begin to count positions after the padding id.
    most = positions - 2 if "roberta" in encoder.config.model_type else positions
    if max_length > most:
        raise BadInput(
            f"train.max_length: seen {max_length}, but {backbone.name!r} takes at most {most} tokens"
        )


def _training_key(job: FitJob, rows: RowsFolder, backbone: ResolvedBackbone) -> str:
    """What a checkpoint must share with a training that goes on from it."""
    targets = hashlib.sha256()
    for name in sorted(job.heads):
        targets.update((rows.folder / f"train.{name}.npy").read_bytes())
    plain = {k: v for k, v in dataclasses.asdict(job).items() if k not in ("out", "rows")}
    parts = [plain, rows.texts_sha256, targets.hexdigest(), backbone.sha256, code_digest()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _calibrate(
    network: MultiHeadNetwork,
    heads: Mapping[str, HeadSpec],
    validation: TrainingRows,
    compute: Compute,
    pad_id: int,
) -> tuple[dict[str, Calibration], dict[str, dict[str, float]]]:
    """Calibration and final figures, from float32 answers: float32 weights are what ships."""
    exact = dataclasses.replace(compute, precision="float32")
    logits = predict_logits(network, validation.tokens, exact, pad_id=pad_id)
    calibration = {
        name: calibrate(head.kind, head.primary_metric, logits[name], validation.targets[name])
        for name, head in heads.items()
    }
    figures = head_metrics(
        heads,
        logits,
        validation.targets,
        temperatures={name: c.temperature for name, c in calibration.items()},
        thresholds={name: c.thresholds for name, c in calibration.items()},
    )
    return calibration, {name: {heads[name].primary_metric: value} for name, value in figures.items()}


def _below_majority(
    heads: Mapping[str, HeadSpec],
    train: TrainingRows,
    validation: TrainingRows,
    epochs: list[dict[str, Any]],
) -> list[str]:
    """Heads that in no epoch beat what is known from the training labels' frequencies alone."""
    named = []
    for name, head in heads.items():
        trivial = majority_metric(
            head.primary_metric,
            head.kind,
            train.targets[name],
            validation.targets[name],
            len(head.labels),
        )
        if max(float(epoch["metrics"][name]) for epoch in epochs) <= trivial:
            named.append(name)
    return named


def _facts(job: FitJob, compute: Compute, training: Training) -> dict[str, Any]:
    lengths = training.train.tokens.lengths
    epochs = len(training.history.epochs)  # fewer than asked for where the training ended early
    trained_rows = len(lengths) * epochs
    seconds = training.history.seconds
    device = compute.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": compute.precision,
        "threads": compute.threads,
        "seconds": seconds,
        "cpu_seconds": training.history.cpu_seconds,
        "rows": len(lengths),
        "rows_per_s": trained_rows / seconds,
        "tokens_per_s": int(lengths.sum()) * epochs / seconds,
        "padding_share": training.padding_share,
        "steps": training.done,
        "epochs": epochs,
        "processes": training.processes.count,
        "best_epoch": training.best_epoch,
        "versions": {name: _version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
        "code_digest": code_digest(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
