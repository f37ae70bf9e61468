"""`python -m model fit JOB.json`: from a job to a fitted folder.

Brings rows, encoder, network and training together and writes what the contract names:
`weights.safetensors`, `network.json`, `tokenizer.json`, `history.json`, `calibration.json`, and last
`fit.json`, whose presence says that the folder is complete. Progress goes to standard output, one JSON
object a line. Does not know bundles or other models.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from ..code import code_digest, training_code
from ..digest import digest
from ..errors import BackboneError
from ..events import OnEvent, ignore_event, print_event
from ..faults import fault
from ..files import file_sha256, write_bytes, write_json
from ..job import read_fit_job
from ..measure.calibrate import Calibration, calibrate
from ..measure.frequencies import label_shares
from ..measure.majority import majority_metric
from ..rows import RowsFolder, open_rows
from ..spec import FitJob, HeadSpec
from .backbone import ResolvedBackbone, load_encoder, load_tokenizer, refuse_longer, resolve
from .checkpoint import save_tensors
from .device import Compute, choose_compute, end_processes
from .evaluate import predict_logits, primary_metrics
from .history import History
from .loop import Training
from .network import MultiHeadNetwork, describe_network
from .rows import TrainingData, all_rows, check_labelled, rows_to_learn
from .tokens import cached_tokens, token_cache


def main(argv: list[str]) -> int:
    """Command line: `fit JOB.json`."""
    parser = argparse.ArgumentParser(prog="python -m model fit", description=__doc__)
    parser.add_argument("job", type=Path, help="job file (see model.spec.FitJob)")
    job = read_fit_job(parser.parse_args(argv).job)
    quiet_libraries()
    try:
        fit(job, print_event)
    finally:
        end_processes()
    return 0


def quiet_libraries() -> None:
    """Keep transformers from writing progress bars and loading reports (`backbone` reads the report)."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def fit(job: FitJob, on_event: OnEvent) -> dict[str, Any]:
    """Train, calibrate and write the fitted folder; returns the content of `fit.json`.

    Where a launcher started several processes (`model.train.device`), each calls this. The main one writes
    and reports; the others return an empty dict when the training is over.

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
    if job.encoder_sha256 not in ("", backbone.files_sha256):
        raise BackboneError(
            f"backbone {backbone.name!r}: its files have the digest {backbone.files_sha256[:12]}, expected "
            f"{job.encoder_sha256[:12]}, that of the run: the encoder was exchanged meanwhile, or is another "
            "one on this machine; run again with the same files everywhere"
        )
    compute = choose_compute(recipe.precision, recipe.threads)
    torch.manual_seed(recipe.seed)
    encoder = load_encoder(backbone, attn_implementation=compute.attention)
    config: Any = encoder.config
    refuse_longer(config.to_dict(), recipe.max_length, backbone.name)
    tokenizer = load_tokenizer(backbone, recipe.max_length)
    data = _load_data(job, rows, tokenizer, pad_id=int(getattr(encoder.config, "pad_token_id", None) or 0))
    network = _start_network(encoder, job, data)
    main_process = compute.processes.is_main
    if not main_process:
        torch.manual_seed(recipe.seed + compute.processes.rank)  # other rows, other dropout
    training = Training(
        network,
        job,
        compute,
        data,
        key=_training_key(job, rows, backbone),
        on_event=on_event if main_process else ignore_event,
    )
    history = training.run()
    if not main_process:
        return {}
    calibration, metrics = _calibrate(network, job.heads, data, compute)
    identity = {
        "name": backbone.name,
        "revision": backbone.revision,
        "sha256": backbone.sha256,
        "files_sha256": backbone.files_sha256,
        "layers": backbone.layers,
    }
    _write_model(job, network, tokenizer, data.pad_id, identity)
    write_json(out / "history.json", {"steps": history.steps, "epochs": history.epochs})
    write_json(out / "calibration.json", {name: asdict(c) for name, c in calibration.items()})
    fault("weights_written")
    facts = {
        **_facts(compute, training),
        "validation": metrics,
        "below_majority": _below_majority(job.heads, data, history),
        "backbone": identity,
        "total_seconds": time.monotonic() - started_s,
    }
    write_json(out / "fit.json", facts)
    fault("fit_made")
    training.remove_checkpoint()
    _report(facts, out, on_event)
    return facts


def _load_data(job: FitJob, rows: RowsFolder, tokenizer: Tokenizer, *, pad_id: int) -> TrainingData:
    cache = token_cache(rows.folder, Path(job.out))
    train, validation = rows.split("train", job.heads), rows.split("validation", job.heads)
    data = TrainingData(
        train=rows_to_learn(train, cached_tokens(train, tokenizer, cache), job),
        validation=all_rows(validation, cached_tokens(validation, tokenizer, cache)),
        pad_id=pad_id,
    )
    check_labelled(job.heads, data.train, data.validation)
    return data


def _start_network(encoder: torch.nn.Module, job: FitJob, data: TrainingData) -> MultiHeadNetwork:
    """The pretrained encoder with new heads, which answer with the labels' frequencies."""
    labels = {name: len(head.labels) for name, head in job.heads.items()}
    network = MultiHeadNetwork(encoder, labels, pooling=job.train.pooling, dropout=job.train.dropout)
    for name, head in job.heads.items():
        shares = label_shares(head.kind, data.train.targets[name], len(head.labels))
        network.start_at_frequencies(name, head.kind, torch.from_numpy(shares))
    return network


def _training_key(job: FitJob, rows: RowsFolder, backbone: ResolvedBackbone) -> str:
    """Digest of all that a training depends on: a checkpoint of another training must not be resumed. Not of
    the threads, which change last bits only: how many there are depends on what else is trained."""
    job_here = {k: v for k, v in asdict(job).items() if k not in ("out", "rows", "teachers")}
    job_here["train"] = {k: v for k, v in job_here["train"].items() if k != "threads"}
    taught = {name: file_sha256(Path(file)) for name, file in sorted(job.teachers.items())}
    targets = [file_sha256(rows.folder / f"train.{name}.npy") for name in sorted(job.heads)]
    made_of = (job_here, taught, rows.texts_sha256, targets, backbone.files_sha256)
    return digest("training", *made_of, training_code())


def _calibrate(
    network: MultiHeadNetwork, heads: Mapping[str, HeadSpec], data: TrainingData, compute: Compute
) -> tuple[dict[str, Calibration], dict[str, dict[str, float]]]:
    """Calibration and final figures, from float32 answers: float32 weights are what ships."""
    exact, validation = replace(compute, precision="float32"), data.validation
    logits = predict_logits(network, validation.tokens, exact, pad_id=data.pad_id)
    calibration = {
        name: calibrate(head.kind, head.primary_metric, logits[name], validation.targets[name])
        for name, head in heads.items()
    }
    values = primary_metrics(
        heads,
        logits,
        validation.targets,
        temperatures={name: c.temperature for name, c in calibration.items()},
        thresholds={name: c.thresholds for name, c in calibration.items()},
    )
    return calibration, {name: {heads[name].primary_metric: value} for name, value in values.items()}


def _write_model(
    job: FitJob, network: MultiHeadNetwork, tokenizer: Tokenizer, pad_id: int, identity: Mapping[str, Any]
) -> None:
    """Write `network.json`, `tokenizer.json` and `weights.safetensors`."""
    out = Path(job.out)
    description = describe_network(
        network, job.heads, max_length=job.train.max_length, pad_token_id=pad_id, backbone=identity
    )
    write_json(out / "network.json", description)
    write_bytes(out / "tokenizer.json", tokenizer.to_str().encode())
    save_tensors(out / "weights.safetensors", network.state_dict())


def _below_majority(heads: Mapping[str, HeadSpec], data: TrainingData, history: History) -> list[str]:
    """Heads whose metric in no epoch exceeds that of answering with the training labels' frequencies."""
    names = []
    for name, head in heads.items():
        train, validation = data.train.targets[name], data.validation.targets[name]
        trivial = majority_metric(head.primary_metric, head.kind, train, validation, len(head.labels))
        if max(float(epoch["metrics"][name]) for epoch in history.epochs) <= trivial:
            names.append(name)
    return names


def _facts(compute: Compute, training: Training) -> dict[str, Any]:
    history, lengths = training.history, training.data.train.tokens.lengths
    epochs = len(history.epochs)  # fewer than the recipe's where the training ended early
    device = compute.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": compute.precision,
        "threads": compute.threads,
        "way": training.way,
        "seconds": history.seconds,
        "cpu_seconds": history.cpu_seconds,
        "rows": len(lengths),
        "rows_per_s": len(lengths) * epochs / history.seconds,
        "tokens_per_s": int(lengths.sum()) * epochs / history.seconds,
        "padding_share": training.padding_share,
        "steps": training.done,
        "epochs": epochs,
        "processes": compute.processes.count,
        "best_epoch": training.best_epoch,
        "versions": {name: _version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
        "code_digest": code_digest(),
    }


def _report(facts: Mapping[str, Any], out: Path, on_event: OnEvent) -> None:
    for name in facts["below_majority"]:
        print(
            f"head {name!r} never beat its majority class on validation rows: nothing was learnt for it",
            file=sys.stderr,
        )
    figures = {name: facts[name] for name in ("seconds", "rows_per_s", "best_epoch", "validation")}
    on_event({"event": "done", "out": str(out), **figures})


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
