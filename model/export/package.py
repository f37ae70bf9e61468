"""Packages a fitted folder as a bundle: traced, checked, its precision chosen, its golden answers written.

    python -m model package FITTED --out BUNDLE --name NAME [--rows ROWS] [--graphs FOLDER]
        [--provenance FILE.json] [--profile FILE.json] [--precision auto|float32|int8]
        [--int8-tolerance X] [--threads N]

The bundle appears whole or not at all. Does not know what is done with it. Axes: B texts, L labels.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx

from ..bundle.card import SCHEMA_VERSION, Card, Precision, card_from_json
from ..bundle.files import CARD, GOLDEN, LISTED, MANIFEST, MODEL, TOKENIZER
from ..bundle.reader import Bundle
from ..cache import CacheEntry
from ..code import code_digest
from ..errors import BadInput
from ..events import print_event
from ..faults import fault
from ..files import file_sha256, replacing_folder, unfinished_prefix, write_bytes, write_json
from ..job import read_object
from ..spec import PackageJob, PackageSpec, PrecisionChoice
from ..train.network import FittedModel, load_fitted
from . import precision
from .card import bundle_tokenizer, head_cards
from .golden_texts import GOLDEN_TEXTS, TOLERANCE
from .graph import ExportError, Graph, architecture_key, export_graph
from .quantise import quantise
from .weights import first_nonfinite


def package(job: PackageJob) -> Bundle:
    """Write the bundle of a fitted folder and load it back.

    Raises:
        BadInput: the fitted folder or the rows cannot be used.
        ExportError: the graph differs from the network, or a weight is not finite.
    """
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
        loaded = {
            name: Bundle.from_parts(path, tokenizer, card, threads=job.threads)
            for name, path in _graphs(graph, job.package.precision, scratch).items()
        }
        metrics = {
            name: precision.measure(bundle, sample) for name, bundle in loaded.items() if sample is not None
        }
        choice = precision.choose(job.package, metrics)
        card = replace(
            card,
            precision=choice.precision,
            precision_reason=choice.reason,
            metrics={f"validation_{name}": figures for name, figures in metrics.items()}
            | ({"validation": metrics[choice.precision]} if metrics else {}),
        )
        with replacing_folder(out) as folder:
            (scratch / f"{choice.precision}.onnx").rename(folder / MODEL)
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


def _graphs(graph: Graph, wanted: PrecisionChoice, scratch: Path) -> dict[Precision, Path]:
    """Precision → file of the graph: the one that is wanted, both for `auto`.

    Raises:
        ExportError: a weight is not finite.
    """
    graphs: dict[Precision, onnx.ModelProto] = {}
    if wanted != "int8":
        graphs["float32"] = graph.model
    if wanted != "float32":
        graphs["int8"] = quantise(graph.model, scratch)
    files: dict[Precision, Path] = {}
    for name, model in graphs.items():
        bad = first_nonfinite(model)
        if bad is not None:
            raise ExportError(
                f"weight {bad} ({name}): seen values that are not finite; the training diverged"
            )
        files[name] = scratch / f"{name}.onnx"
        files[name].write_bytes(model.SerializeToString())
    return files


def _golden(bundle: Bundle, kept: Precision) -> Mapping[str, Any]:
    probabilities = {
        head: np.round(values.astype(np.float64), 7).tolist()
        for head, values in bundle.probabilities(GOLDEN_TEXTS).items()
    }
    return {"texts": list(GOLDEN_TEXTS), "probabilities": probabilities, "tolerance": TOLERANCE[kept]}
