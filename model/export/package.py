"""Packages a fitted folder as a bundle: traced, checked, its precision chosen, its golden answers written.

    python -m model package FITTED --out BUNDLE --name NAME [--rows ROWS] [--graphs FOLDER]
        [--provenance FILE.json] [--profile FILE.json] [--precision auto|NAME]
        [--int8-tolerance X] [--threads N]

The bundle appears whole or not at all. Does not know what is done with it. Axes: B texts, L labels.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, assert_never, get_args

import numpy as np
import onnx

from ..bundle.card import PROFILES, SCHEMA_VERSION, Card, Precision, Weights, card_from_json
from ..bundle.files import CARD, GOLDEN, LISTED, MANIFEST, MODEL, TOKENIZER
from ..bundle.reader import Bundle
from ..cache import CacheEntry
from ..code import code_digest
from ..errors import BadInput
from ..events import print_event
from ..faults import fault
from ..files import file_sha256, replacing_folder, unfinished_prefix, write_bytes, write_json
from ..job import read_object
from ..measure.machine import describe_machine
from ..spec import PackageJob, PackageSpec, PrecisionChoice
from ..train.network import FittedModel, load_fitted
from . import precision
from .card import bundle_tokenizer, head_cards
from .golden_texts import GOLDEN_TEXTS, TOLERANCE
from .graph import ExportError, Graph, architecture_key, export_graph
from .integer_products import by_columns, by_rows
from .quantise import quantise
from .weights import first_nonfinite


def package(job: PackageJob) -> Bundle:
    """Write the bundle of a fitted folder and load it back.

    Raises:
        BadInput: the fitted folder or the rows cannot be used.
        ExportError: the graph differs from the network, or a weight is not finite.
    """
    names = precision.candidates(job.package.precision)
    model = load_fitted(job.fitted, attn_implementation="eager")
    heads = head_cards(model)
    sample = None if job.rows is None else precision.validation_sample(job.rows, model.heads)
    if sample is None and job.package.precision == "auto":
        raise BadInput("precision auto: it is chosen on validation rows; give --rows, or a precision")
    template = None if job.graphs is None else CacheEntry(job.graphs / architecture_key(model.description))
    out = job.out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=unfinished_prefix(out.name), dir=out.parent) as beside:
        scratch = Path(beside)
        labels = {head: card.labels for head, card in heads.items()}
        graph = export_graph(
            model.network, labels, max_length=model.max_length, scratch=scratch, template=template
        )
        card = Card(
            name=job.name,
            heads=heads,
            max_length=model.max_length,
            precision="float32",
            precision_reason="asked for",
            provenance=_provenance(job, model, graph),
            data_profile=None if job.profile is None else dict(job.profile),
        )
        tokenizer = bundle_tokenizer(model)
        names = precision.affordable(names, graph.model.ByteSize())
        files = _graphs(graph, names, scratch)
        loaded = {
            name: Bundle.from_parts(path, tokenizer, replace(card, precision=name), threads=job.threads)
            for name, path in files.items()
        }
        figures = functools.cache(
            lambda name: {} if sample is None else precision.measure(loaded[name], sample)
        )
        speeds = precision.measure_speed(loaded) if len(loaded) > 1 else {}
        choice = precision.choose(
            precision.by_speed(speeds) or names,
            figures,
            lambda name: precision.neighbours(loaded[name], GOLDEN_TEXTS),
            job.package.int8_tolerance,
        )
        metrics: dict[str, precision.HeadFigures] = {}
        if sample is not None:
            chosen = figures(choice.precision)
            metrics = {"validation": chosen, f"validation_{choice.precision}": chosen}
            if len(loaded) > 1:
                metrics["validation_float32"] = figures("float32")
        card = replace(
            card,
            precision=choice.precision,
            precision_reason=choice.reason,
            threads=loaded[choice.precision].serving.threads,
            metrics=metrics,
            provenance=card.provenance | _measured_on(speeds),
        )
        with replacing_folder(out) as folder:
            files[choice.precision].rename(folder / MODEL)
            write_bytes(folder / TOKENIZER, tokenizer)
            write_json(folder / CARD, card.to_json())
            card_from_json(json.loads((folder / CARD).read_text("utf-8")), where=CARD)
            write_json(folder / GOLDEN, _golden(loaded[choice.precision], choice.precision))
            write_manifest(folder)
            made = Bundle.load(folder, threads=job.threads)  # what cannot be loaded is not published
            fault("bundle_written")
    fault("bundle_made")
    return made


def write_manifest(folder: Path) -> str:
    """Write the manifest of a bundle's files; returns its sha256 (hex), the bundle's identity."""
    files = {
        name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in LISTED
    }
    write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "files": files})
    return file_sha256(folder / MANIFEST)


def main(argv: list[str]) -> int:
    """Package one fitted folder; prints one JSON event when done."""
    standard = PackageSpec()
    parser = argparse.ArgumentParser(prog="python -m model package", description=__doc__.split("\n")[0])
    parser.add_argument("fitted", type=Path, help="folder that `fit` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--rows", type=Path, help="rows folder, for the validation rows")
    parser.add_argument("--graphs", type=Path, help="folder where the graphs of architectures are kept")
    parser.add_argument("--provenance", type=Path, help="JSON file with where it comes from")
    parser.add_argument("--profile", type=Path, help="JSON file with the profile of the training data")
    parser.add_argument("--precision", choices=get_args(PrecisionChoice), default=standard.precision)
    parser.add_argument("--int8-tolerance", type=float, default=standard.int8_tolerance)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(argv)
    # The optimiser and the quantiser log every node that they leave alone.
    logging.basicConfig(level=logging.WARNING)
    bundle = package(
        PackageJob(
            fitted=given.fitted,
            out=given.out,
            name=given.name,
            rows=given.rows,
            graphs=given.graphs,
            provenance=read_object(given.provenance) if given.provenance else {},
            profile=read_object(given.profile) if given.profile else None,
            package=PackageSpec(precision=given.precision, int8_tolerance=given.int8_tolerance),
            threads=given.threads,
        )
    )
    card = bundle.card
    chosen = {"precision": card.precision, "precision_reason": card.precision_reason}
    print_event({"event": "done", "digest": bundle.digest, **chosen})
    return 0


def _provenance(job: PackageJob, model: FittedModel, graph: Graph) -> dict[str, Any]:
    return {
        "code_digest": code_digest(),
        **job.provenance,
        "torch_parity": graph.difference,
        "graph_fused": graph.fused,
        "unicode": unicodedata.unidata_version,
        "fit": model.fit,
        "backbone": model.description["backbone"],
        "network": {key: model.description[key] for key in ("encoder", "pooling")},
    }


def _measured_on(speeds: Mapping[Precision, precision.Speed]) -> dict[str, Any]:
    """Where the precision was chosen, and what each one took there."""
    if not speeds:
        return {}
    taken = {name: {k: round(v, 3) for k, v in asdict(speed).items()} for name, speed in speeds.items()}
    return {"speeds": taken, "processor": describe_machine()["cpu"]}


def _graphs(graph: Graph, names: Sequence[Precision], scratch: Path) -> dict[Precision, Path]:
    """Precision → file of its graph; those with the same weights share one.

    Raises:
        ExportError: a weight is not finite.
    """
    files: dict[Weights, Path] = {}
    for weights in dict.fromkeys(PROFILES[name].weights for name in names):
        model = _with_weights(graph.model, weights, scratch)
        bad = first_nonfinite(model)
        if bad is not None:
            raise ExportError(
                f"weight {bad} ({weights}): seen values that are not finite; the training diverged"
            )
        files[weights] = scratch / f"{weights}.onnx"
        files[weights].write_bytes(model.SerializeToString())
    return {name: files[PROFILES[name].weights] for name in names}


def _with_weights(model: onnx.ModelProto, weights: Weights, scratch: Path) -> onnx.ModelProto:
    match weights:
        case "float32":
            return model
        case "blocks":
            return quantise(model, scratch)
        case "rows":
            return by_rows(model)
        case "columns":
            return by_columns(model)
        case _:
            assert_never(weights)


def _golden(bundle: Bundle, kept: Precision) -> Mapping[str, Any]:
    probabilities = {
        head: np.round(values.astype(np.float64), 7).tolist()
        for head, values in bundle.probabilities(GOLDEN_TEXTS).items()
    }
    return {"texts": list(GOLDEN_TEXTS), "probabilities": probabilities, "tolerance": TOLERANCE[kept]}
