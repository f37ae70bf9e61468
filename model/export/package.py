"""Packages a fitted folder as a bundle: traced, checked, its precision chosen, its golden answers written.

    python -m model package FITTED --out BUNDLE --name NAME --rows ROWS
        [--provenance FILE.json] [--profile FILE.json] [--precision auto|float32|int8]
        [--int8-tolerance 0.002] [--threads N]

The bundle appears whole or not at all. Does not know what is done with it. Axes: B texts, L labels.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from tokenizers import Tokenizer

from ..bundle.card import METRICS, PRECISIONS, SCHEMA_VERSION, Card, HeadCard, card_from_json
from ..bundle.files import CARD, GOLDEN, LISTED, MANIFEST, MODEL, TOKENIZER
from ..bundle.reader import Bundle
from ..code import code_digest
from ..errors import BadInput
from ..faults import fault
from ..spec import HeadSpec
from ..train.network import FittedModel, load_fitted, read_json
from . import precision
from .golden_texts import GOLDEN_TEXTS, TOLERANCE
from .graph import ExportError, export_graph
from .quantise import quantise


def package(
    fitted: Path,
    out: Path,
    *,
    name: str,
    rows: Path,
    provenance: Mapping[str, Any],
    profile: Mapping[str, Any] | None = None,
    wanted: str = "auto",
    int8_tolerance: float = precision.TOLERANCE,
    threads: int | None = None,
) -> Bundle:
    """Write the bundle of a fitted folder to `out` (replaced if it exists) and load it back.

    Args:
        wanted: `float32`, `int8`, or `auto`: int8 if no head's validation metric is lower by more than
            `int8_tolerance`.
        threads: CPU threads while measuring; default: the cores that this process may use.

    Raises:
        BadInput: the fitted folder or the rows cannot be used.
        ExportError: the graph is not what the network is.
    """
    model = load_fitted(fitted, attn_implementation="eager")
    heads = {head: _head_card(head, spec, model) for head, spec in model.heads.items()}
    sample = precision.validation_sample(rows, model.heads)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside `out`, so that the last step is a rename on one file system.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.{os.getpid()}.", dir=out.parent) as beside:
        scratch = Path(beside)
        labels = {head: card.labels for head, card in heads.items()}
        graph = export_graph(model.network, labels, max_length=model.max_length, scratch=scratch)
        (scratch / TOKENIZER).write_bytes(words := _tokenizer(model))
        card = Card(
            name=name,
            heads=heads,
            max_length=model.max_length,
            precision="float32",
            precision_reason="asked for",
            provenance={
                "code_digest": code_digest(),
                **provenance,
                "torch_parity": graph.difference,
                "graph_fused": graph.fused,
                "fit": model.fit,
                "backbone": model.description["backbone"],
            },
            data_profile=None if profile is None else dict(profile),
        )
        graphs = {"float32": graph.model}
        if wanted != "float32":
            graphs["int8"] = quantise(graph.model, scratch)
        loaded, metrics = {}, {}
        for kept, proto in graphs.items():
            _save(proto, path := scratch / f"{kept}.onnx")
            loaded[kept] = Bundle.from_parts(path, words, card, threads=threads)
            metrics[kept] = precision.measure(loaded[kept], sample)
        choice = precision.Choice(wanted, "asked for; not compared with the other")
        if wanted == "auto":
            choice = precision.choose(metrics["float32"], metrics["int8"], tolerance=int8_tolerance)
        card = replace(
            card,
            precision=choice.precision,
            precision_reason=choice.reason,
            metrics={"validation": metrics[choice.precision]}
            | {f"validation_{kept}": figures for kept, figures in metrics.items()},
        )
        whole = scratch / "bundle"
        whole.mkdir()
        (scratch / f"{choice.precision}.onnx").rename(whole / MODEL)
        (whole / TOKENIZER).write_bytes(words)
        _write_json(whole / CARD, card.to_json())
        card_from_json(json.loads((whole / CARD).read_text("utf-8")), where=CARD)
        _write_json(whole / GOLDEN, _golden(loaded[choice.precision], choice.precision))
        write_manifest(whole)
        Bundle.load(whole, threads=threads)  # what cannot be loaded is not published
        fault("bundle_written")
        _publish(whole, out)
    fault("bundle_made")
    return Bundle.load(out, threads=threads, verify=False)


def write_manifest(folder: Path) -> str:
    """Write the manifest of a bundle's files and force all to disk; its digest, the bundle's identity."""
    files = {}
    for name in LISTED:
        path = folder / name
        total = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                total.update(piece)
            os.fsync(file.fileno())
        files[name] = {"sha256": total.hexdigest(), "bytes": path.stat().st_size}
    _write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "files": files})
    for path in (folder / MANIFEST, folder):
        _sync(path)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def main(argv: list[str]) -> int:
    """Package one fitted folder; prints one JSON event when done."""
    parser = argparse.ArgumentParser(prog="python -m model package", description=__doc__.split("\n")[0])
    parser.add_argument("fitted", type=Path, help="folder that `fit` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--rows", type=Path, required=True, help="rows folder, for the validation rows")
    parser.add_argument("--provenance", type=Path, help="JSON file with where it comes from")
    parser.add_argument("--profile", type=Path, help="JSON file with the profile of the training data")
    parser.add_argument("--precision", choices=("auto", *PRECISIONS), default="auto")
    parser.add_argument("--int8-tolerance", type=float, default=precision.TOLERANCE)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(argv)
    # The optimiser and the quantiser log every node that they leave alone.
    logging.basicConfig(level=logging.WARNING)
    bundle = package(
        given.fitted,
        given.out,
        name=given.name,
        rows=given.rows,
        provenance=read_json(given.provenance) if given.provenance else {},
        profile=read_json(given.profile) if given.profile else None,
        wanted=given.precision,
        int8_tolerance=given.int8_tolerance,
        threads=given.threads,
    )
    done = {"event": "done", "digest": bundle.digest, "precision": bundle.card.precision}
    print(json.dumps({**done, "precision_reason": bundle.card.precision_reason}), flush=True)
    return 0


def _head_card(name: str, head: HeadSpec, model: FittedModel) -> HeadCard:
    calibration = model.calibration.get(name)
    if not isinstance(calibration, Mapping):
        raise BadInput(f"calibration.json: no head {name!r}; fit again")
    thresholds = calibration.get("thresholds")
    if head.primary_metric not in METRICS:
        raise BadInput(f"network.json: head {name!r} has metric {head.primary_metric!r}")
    return HeadCard(
        kind=head.kind,
        labels=head.labels,
        temperature=float(calibration["temperature"]),
        thresholds=None if thresholds is None else tuple(float(x) for x in thresholds),
        metric=head.primary_metric,
    )


def _tokenizer(model: FittedModel) -> bytes:
    """The fitted tokenizer, set to cut at `max_length` and naming its padding token."""
    try:
        tokenizer = Tokenizer.from_file(str(model.tokenizer_path))
    except Exception as error:  # tokenizers raises bare Exception
        raise BadInput(f"{model.tokenizer_path}: cannot be read as a tokenizer: {error}") from error
    padding = tokenizer.id_to_token(model.pad_token_id)
    if padding is None:
        raise BadInput(f"{model.tokenizer_path}: no token has the id {model.pad_token_id}, expected padding")
    tokenizer.enable_truncation(model.max_length)
    tokenizer.enable_padding(pad_id=model.pad_token_id, pad_token=padding)
    text: str = tokenizer.to_str()
    return text.encode("utf-8")


def _golden(bundle: Bundle, kept: str) -> dict[str, Any]:
    chances = bundle.probabilities(GOLDEN_TEXTS)
    return {
        "texts": list(GOLDEN_TEXTS),
        "probabilities": {head: np.round(v.astype(np.float64), 7).tolist() for head, v in chances.items()},
        "tolerance": TOLERANCE[kept],
    }


def _save(model: onnx.ModelProto, path: Path) -> None:
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ExportError(f"weight {tensor.name} is not finite; the training diverged")
    with path.open("wb") as file:
        file.write(model.SerializeToString())
        file.flush()
        os.fsync(file.fileno())


def _write_json(path: Path, value: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        # allow_nan=False: what is not finite must not be shipped as a bare word that is not JSON.
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _publish(whole: Path, out: Path) -> None:
    """Put a finished folder where it belongs. A folder cannot replace one that is not empty in one step,
    so an old one is moved aside first; a crash in between leaves no bundle, never half of one."""
    if out.exists():
        out.rename(whole.with_name("replaced"))
    whole.rename(out)
    _sync(out.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
