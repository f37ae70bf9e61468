"""The engines that run a bundle's graph, behind one call: onnxruntime, and OpenVINO where the card names it.

A processor, or an installation, that the card's precision does not fit gets the safe way instead: the same
graph in float32 by onnxruntime, which is everywhere. `Serving.unfit` then says why. Does not know texts.
Axes: B texts, T tokens, L labels of one head.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from .card import PROFILES, Card, Compute, Engine, Precision, Profile
from .errors import GraphError
from .files import MODEL
from .graph import HEADS_ENTRY, INPUTS, check_graph, load_graph, output_name
from .plain_files import MOST_BYTES, read_plain
from .telemetry import load_openvino

Floats = NDArray[np.float32]
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
ELSEWHERE = b"\x0a\x08location\x12"
"""How a graph's bytes name the place of weights that they do not hold: OpenVINO would read it, wherever it
is. A label can't spell it: metadata is JSON, in which control characters are escaped."""
_TYPES = {"i64": "tensor(int64)", "f32": "tensor(float)"}


@dataclass(frozen=True, slots=True)
class Serving:
    """How a loaded bundle answers, here."""

    precision: Precision
    """What the card names: how it was judged."""
    engine: Engine
    """What runs the graph."""
    compute: Compute
    """The precision of its sums and products."""
    threads: int
    """CPU threads of one run."""
    at_once: int = 1
    """Runs that go on at once without waiting for each other."""
    unfit: str = ""
    """Why this is not how it was judged; empty where it is."""


class Runner(Protocol):
    """A loaded graph. Safe to use from several threads at once."""

    serving: Serving

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Sequence[Floats]:
        """(B, T) token ids and their mask → logits (B, L) of each head, in the card's order."""
        ...


def misfit(precision: Precision) -> str:
    """Why this machine can't answer in a precision; empty where it can."""
    profile = PROFILES[precision]
    match profile.engine:
        case "onnxruntime":
            return ""
        case "openvino":
            return _misfit_of_openvino(profile)
        case _:
            assert_never(profile.engine)


def load_runner(model: Path, card: Card, threads: int, at_once: int = 1) -> Runner:
    """The graph in the file `model`, checked against the card, in the engine that the card names if it fits.

    Args:
        threads: CPU threads of one run.
        at_once: runs that go on at once without waiting for each other. Where many texts wait, several runs
            of one thread answer more than one run of several, which wait for each other at every product.

    Raises:
        GraphError: it cannot be loaded, or does not fit the card.
    """
    profile, unfit = PROFILES[card.precision], misfit(card.precision)
    if profile.engine == "openvino" and not unfit:
        runner = _OpenVino(model, card, threads, at_once)
        unfit = runner.otherwise
        if not unfit:
            return runner
    return _OnnxRuntime(model, card, threads, at_once, unfit)


class _OnnxRuntime:
    def __init__(self, model: Path, card: Card, threads: int, at_once: int, unfit: str) -> None:
        self.serving = Serving(card.precision, "onnxruntime", "float32", threads, at_once, unfit)
        self._session = load_graph(model, card, threads)
        self._outputs = [output_name(head) for head in card.heads]

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Sequence[Floats]:
        found: list[Floats] = self._session.run(
            self._outputs, {INPUTS[0]: input_ids, INPUTS[1]: attention_mask}
        )
        return found


class _OpenVino:
    """One compiled graph, with as many requests as runs were ever under way at once."""

    def __init__(self, model: Path, card: Card, threads: int, at_once: int) -> None:
        compute = PROFILES[card.precision].compute
        self.serving = Serving(card.precision, "openvino", compute, threads, at_once)
        core = _core()
        try:
            # From memory: by the path another file could be read than was opened.
            raw = read_plain(model, MOST_BYTES[MODEL], follow=True)
        except OSError as error:
            raise GraphError(f"{model}: cannot be loaded as an ONNX graph: {error}") from error
        if ELSEWHERE in raw:
            raise GraphError(f"{model}: cannot be loaded as an ONNX graph: it keeps weights in another file")
        try:
            graph = core.read_model(io.BytesIO(raw))
            del raw
            compiled = core.compile_model(graph, "CPU", _options(compute, threads, at_once))
        except Exception as error:  # its errors have no common base class
            raise GraphError(f"{model}: OpenVINO cannot load it: {str(error)[:300]}") from error
        check_graph(model, _inputs(graph), _outputs(graph), _labels(graph), card)
        seen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        expected = _HINTS[compute]
        self.otherwise = "" if seen == expected else f"OpenVINO computes in {seen} here, not in {expected}"
        self._compiled = compiled
        self._outputs = [compiled.output(output_name(head)) for head in card.heads]
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Sequence[Floats]:
        with self._lock:
            request = self._idle.pop() if self._idle else self._compiled.create_infer_request()
        request.infer({INPUTS[0]: input_ids, INPUTS[1]: attention_mask}, share_inputs=True)
        # Copied: the next run writes over them.
        found = [np.array(request.get_tensor(output).data, np.float32) for output in self._outputs]
        with self._lock:
            self._idle.append(request)
        return found


@functools.cache
def _core() -> Any:
    return load_openvino().Core()


def _misfit_of_openvino(profile: Profile) -> str:
    if importlib.util.find_spec("openvino") is None:
        return "openvino is not installed here"
    try:
        able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except Exception as error:  # a processor that its library does not know, or a broken installation
        return f"openvino does not start here ({type(error).__name__})"
    if profile.compute == "bfloat16" and "BF16" not in able:
        return "this processor does not multiply in bfloat16"
    return ""


def _options(compute: Compute, threads: int, at_once: int) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": at_once,
        "INFERENCE_NUM_THREADS": threads * at_once,
        "INFERENCE_PRECISION_HINT": _HINTS[compute],
        # Two workers would be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
    }


def _inputs(graph: Any) -> dict[str, str]:
    return {port.get_any_name(): _type(port) for port in graph.inputs}


def _outputs(graph: Any) -> dict[str, tuple[list[Any], str]]:
    found = {}
    for port in graph.outputs:
        [name] = [name for name in port.get_names() if name.startswith("head_")] or [port.get_any_name()]
        shape = [None if axis.is_dynamic else axis.get_length() for axis in port.get_partial_shape()]
        found[name] = shape, _type(port)
    return found


def _type(port: Any) -> str:
    name = str(port.get_element_type().get_type_name())
    return _TYPES.get(name, name)


def _labels(graph: Any) -> str:
    try:
        return str(graph.get_rt_info(["framework", HEADS_ENTRY]).astype(str))
    except RuntimeError:
        return "null"
