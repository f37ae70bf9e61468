"""Tries whether an encoder can become a bundle, before anything is trained with it.

    python -m model try FOLDER --name NAME --max-length TOKENS --pooling POOLING [--layers N]

The encoder, with a head that was not trained, is exported, compared and made 8 bits wide, as `package` will
do.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import get_args

from ..errors import BackboneError
from ..events import print_event
from ..spec import Pooling
from ..train.backbone import PROVEN, ResolvedBackbone, load_encoder
from ..train.fit import quiet_libraries
from ..train.network import MultiHeadNetwork
from .graph import export_graph
from .quantise import quantise

LABELS = {"trial": ("yes", "no")}


def try_export(backbone: ResolvedBackbone, *, max_length: int, pooling: Pooling) -> None:
    """Return if a model on this encoder can be packaged.

    Raises:
        BackboneError: it can't.
    """
    encoder = load_encoder(backbone, attn_implementation="eager")
    network = MultiHeadNetwork(encoder, {"trial": 2}, pooling=pooling, dropout=0.0).eval()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            graph = export_graph(network, LABELS, max_length=max_length, scratch=Path(scratch))
            quantise(graph.model, Path(scratch))
    except Exception as error:  # torch, onnx and the engine have no common base class
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise BackboneError(
            f"backbone {backbone.name!r}: a model on it can't be exported; nothing was trained ({reason}). "
            f"Choose another encoder; these kinds are known to work: {', '.join(sorted(PROVEN))}"
        ) from error


def main(argv: list[str]) -> int:
    """Try one encoder; prints one JSON event when it can be exported."""
    parser = argparse.ArgumentParser(prog="python -m model try", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the encoder")
    parser.add_argument("--name", required=True, help="as it is configured")
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--pooling", choices=get_args(Pooling), required=True)
    parser.add_argument("--layers", type=int)
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING)
    quiet_libraries()
    backbone = ResolvedBackbone(given.name, given.folder, None, "", "", given.layers)
    try_export(backbone, max_length=given.max_length, pooling=given.pooling)
    print_event({"event": "done"})
    return 0
