"""The graph of a bundle: how it is loaded and run, and that it fits the card.

Does not know texts or tokens. Axes: B texts, T tokens, L labels of one head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .card import Card
from .errors import GraphError
from .files import MODEL, parse_json
from .plain_files import MOST_BYTES, open_plain
from .telemetry import load_engine

if TYPE_CHECKING:
    import onnxruntime as ort

INPUTS = ("input_ids", "attention_mask")
HEADS_ENTRY = "headgate.heads"
"""Metadata entry of the graph: JSON {head: labels}. It ties the labels to the weights: a card with permuted
labels does not match it."""


def output_name(head: str) -> str:
    """Name of the graph's output for a head; prefixed, because a head may be called like an input."""
    return f"head_{head}"


def session_options(threads: int) -> ort.SessionOptions:
    """How graphs are run here.

    Idle threads do not spin: an idle endpoint, or the bundle whose turn it is not, must leave the cores to
    others (measured: no slower). No memory is kept for each shape, and what one run gave back is taken by the
    next: fetched from the system anew, it took up to a seventh of a run. Weights are not part of it.

    Args:
        threads: CPU threads of one run.
    """
    engine = load_engine()
    options: ort.SessionOptions = engine.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = engine.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = True
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def load_graph(model: Path, card: Card, threads: int) -> ort.InferenceSession:
    """The graph in the file `model`, checked against the card.

    It holds all weights: the runtime reads external ones from the file's own folder only, where
    `files.check_files` allows no further file.

    Raises:
        GraphError: it cannot be loaded, or does not fit the card.
    """
    engine, options = load_engine(), session_options(threads)
    try:
        with open_plain(model, MOST_BYTES[MODEL], follow=True) as file:
            # By path: from bytes, the runtime keeps a second copy of all weights. By that of what is open:
            # a pipe that somebody puts in the file's place meanwhile would hold the runtime for ever.
            opened = Path(f"/proc/self/fd/{file.fileno()}")
            session: ort.InferenceSession = engine.InferenceSession(
                opened if opened.exists() else model, options, providers=["CPUExecutionProvider"]
            )
    except Exception as error:  # the runtime has no common base class
        raise GraphError(f"{model}: cannot be loaded as an ONNX graph: {str(error)[:300]}") from error
    check_graph(
        model,
        {value.name: value.type for value in session.get_inputs()},
        {value.name: (value.shape, value.type) for value in session.get_outputs()},
        session.get_modelmeta().custom_metadata_map.get(HEADS_ENTRY, "null"),
        card,
    )
    return session


def check_graph(
    model: Path,
    inputs: Mapping[str, str],
    outputs: Mapping[str, tuple[Sequence[Any], str]],
    labels: str,
    card: Card,
) -> None:
    """That a graph fits the card.

    Args:
        model: its file, for messages.
        inputs: name → type, as onnxruntime calls it.
        outputs: name → shape and type.
        labels: the metadata entry `HEADS_ENTRY`.

    Raises:
        GraphError: it does not fit.
    """
    _check_shapes(model, inputs, dict(outputs), card)
    _check_labels(model, labels, card)


def _check_shapes(
    model: Path, inputs: Mapping[str, str], outputs: dict[str, tuple[Sequence[Any], str]], card: Card
) -> None:
    if inputs != dict.fromkeys(INPUTS, "tensor(int64)"):
        raise GraphError(f"{model}: seen inputs {inputs}, expected int64 {' and '.join(INPUTS)}")
    for head, described in card.heads.items():
        output = outputs.pop(output_name(head), None)
        if output is None:
            raise GraphError(f"{model}: head {head}: no output {output_name(head)!r} in the graph")
        (shape, kind), expected = output, len(described.labels)
        if len(shape) != 2 or shape[-1] != expected or kind != "tensor(float)":
            raise GraphError(
                f"{model}: head {head}: seen an output of shape {shape} and {kind}, expected "
                f"(batch, {expected}) and tensor(float), one column a label of the card"
            )
    if outputs:
        raise GraphError(f"{model}: seen outputs {', '.join(sorted(outputs))} that no head of the card has")


def _check_labels(model: Path, stored: str, card: Card) -> None:
    labels = parse_json(stored.encode(), model)
    for head, described in card.heads.items():
        if not isinstance(labels, dict) or labels.get(head) != list(described.labels):
            raise GraphError(
                f"{model}: head {head}: the card's labels are not those of the graph's metadata, in its order"
            )
