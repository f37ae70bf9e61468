"""Requests and replies of the Open Inference Protocol V2: named tensors, as JSON or with strings as bytes.

One input, `text`, of strings. Of each head two outputs: `HEAD`, the label of each text (of a multilabel head
a JSON list of those that apply), and `HEAD.probabilities`, one figure a label. Does not know routes.
Specification: Open Inference Protocol, "inference_rest.md"; strings as bytes: Triton's binary tensor data
extension, which Triton's clients use unless told otherwise.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection, Mapping
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.types import JsonValue
from typing_extensions import TypedDict

from model.bundle.answers import decisions
from model.bundle.reader import Bundle
from serving.http.body import Refused
from serving.http.queueing import Probabilities
from serving.http.replies import DECIMALS
from serving.http.requests import TEXT_COLUMN

STRINGS = "BYTES"
"""The protocol's name of the type of strings."""
PROBABILITIES = ".probabilities"
"""What the name of a head's second output ends with."""


class _Part(BaseModel):
    """Fields of the protocol's extensions are left aside; types are taken as they are."""

    model_config = ConfigDict(strict=True, extra="ignore")


class InputTensor(_Part):
    """The tensor of texts."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=2)]
    """`[N]` or `[N, 1]`."""
    datatype: str
    parameters: dict[str, JsonValue] = {}
    data: list[JsonValue] | None = None
    """Strings, in the order of the rows; absent where they follow the JSON as bytes."""


class OutputTensor(_Part):
    """An output that is asked for."""

    name: str
    parameters: dict[str, JsonValue] = {}


class InferRequest(_Part):
    """Body of `POST /v2/models/NAME/infer`."""

    id: Annotated[str, Field(max_length=128)] | None = None
    """Given back with the reply."""
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[OutputTensor], Field(max_length=1000)] = []
    """Which outputs to give; by default all."""
    parameters: dict[str, JsonValue] = {}


REQUEST_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "maxLength": 128},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"const": TEXT_COLUMN},
                    "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
                    "datatype": {"const": STRINGS},
                    "data": {"type": "array", "items": {"type": "string", "minLength": 1}},
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}},
            },
        },
    },
    "example": {"inputs": [{"name": TEXT_COLUMN, "shape": [1], "datatype": STRINGS, "data": ["some text"]}]},
}
"""Of `/openapi.json`: a request whose strings stand in the JSON."""


class TensorAbout(TypedDict):
    """A tensor in the metadata."""

    name: str
    datatype: str
    shape: list[int]
    parameters: NotRequired[dict[str, Any]]
    """Of an output: `kind` of the head and its `labels`, in the order of the probabilities."""


class ModelReply(TypedDict):
    """Reply of `GET /v2/models/NAME`."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorAbout]
    outputs: list[TensorAbout]


class ReplyTensor(TypedDict):
    """A tensor of a reply."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class InferReply(TypedDict):
    """Reply of `POST /v2/models/NAME/infer`."""

    model_name: str
    model_version: str
    id: NotRequired[str]
    outputs: list[ReplyTensor]


def read_request(body: bytes, json_bytes: int | None) -> tuple[InferRequest, list[str]]:
    """A request and its texts; what they say is not checked yet.

    Args:
        body: the body as it came.
        json_bytes: how much of it is JSON, where the strings follow as bytes.

    Raises:
        Refused: 400, if it is not a request of the protocol; 422, if a text is no string.
    """
    head, tail = (body, b"") if json_bytes is None else (body[:json_bytes], body[json_bytes:])
    try:
        request = InferRequest.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        known = InferRequest.model_fields.keys() | InputTensor.model_fields.keys()
        path = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in known)
        what = "is not JSON" if first["type"] == "json_invalid" else "is not what the protocol says"
        raise Refused(400, "not_v2", f'"{path or "body"}" {what}') from None
    (given,) = request.inputs
    if given.name != TEXT_COLUMN or given.datatype != STRINGS:
        raise Refused(400, "no_text", f'the one input is "{TEXT_COLUMN}" with datatype {STRINGS}')
    size = given.parameters.get("binary_data_size")
    if size is not None:
        texts: list[Any] = _strings(tail) if size == len(tail) else _amiss("binary_data_size", "the bytes")
    else:
        texts = given.data if given.data is not None else _amiss("data", "strings")
        texts = [text for row in texts for text in (row if isinstance(row, list) else [row])]
    if given.shape[1:] not in ([], [1]) or math.prod(given.shape) != len(texts):
        raise Refused(400, "wrong_shape", f'"shape" must be [{len(texts)}] or [{len(texts)}, 1]')
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise Refused(422, "wrong_type", f"text {number} is not a string")
    return request, texts


def _amiss(field: str, what: str) -> list[Any]:
    raise Refused(400, "not_v2", f'"inputs.0.{field}" does not go with {what} that came')


def _strings(data: bytes) -> list[str]:
    """Strings as the binary extension writes them: each behind its length, 4 bytes, little-endian."""
    texts, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            _amiss("binary_data_size", "the bytes")
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if at + length > len(data):
            _amiss("binary_data_size", "the bytes")
        try:
            texts.append(data[at : at + length].decode())
        except UnicodeDecodeError:
            raise Refused(400, "not_utf8", f"text {len(texts)} is not UTF-8") from None
        at += length
    return texts


def heads_asked(request: InferRequest, heads: Collection[str]) -> list[str] | None:
    """The heads whose outputs are asked for; None for all.

    Raises:
        Refused: 400, for an output that there is not.
    """
    if not request.outputs:
        return None
    asked = []
    for number, output in enumerate(request.outputs):
        head = output.name if output.name in heads else output.name.removesuffix(PROBABILITIES)
        if head not in heads:
            raise Refused(400, "no_such_output", f'"outputs.{number}" is none of this model')
        asked.append(head)
    return asked


def about_model(name: str, version: int, bundle: Bundle) -> ModelReply:
    """What a model takes and gives."""
    outputs: list[TensorAbout] = []
    for head, about in bundle.card.heads.items():
        says: dict[str, Any] = {"kind": about.kind, "labels": list(about.labels)}
        outputs.append({"name": head, "datatype": STRINGS, "shape": [-1], "parameters": says})
        shape = [-1, len(about.labels)]
        outputs.append({"name": head + PROBABILITIES, "datatype": "FP32", "shape": shape, "parameters": says})
    return {
        "name": name,
        "versions": [str(version)],
        "platform": "headgate_onnxruntime",
        "inputs": [{"name": TEXT_COLUMN, "datatype": STRINGS, "shape": [-1]}],
        "outputs": outputs,
    }


def reply_tensors(bundle: Bundle, probabilities: Probabilities, wanted: Collection[str]) -> list[ReplyTensor]:
    """The outputs of a reply.

    Args:
        bundle: the bundle that answered.
        probabilities: head → (N, L_h).
        wanted: names of outputs; empty for all.

    Raises:
        ValueError: a probability is not finite.
    """
    outputs: list[ReplyTensor] = []
    for head, matrix in probabilities.items():
        if not np.isfinite(matrix).all():
            raise ValueError(f"head {head!r} answered a probability that is not finite")
        rows, labels = len(matrix), bundle.card.heads[head].labels
        tensors: Mapping[str, ReplyTensor] = {
            head: {"name": head, "datatype": STRINGS, "shape": [rows], "data": _labels(bundle, head, matrix)},
            head + PROBABILITIES: {
                "name": head + PROBABILITIES,
                "datatype": "FP32",
                "shape": [rows, len(labels)],
                "data": [round(float(value), DECIMALS) for value in matrix.ravel()],
            },
        }
        outputs += [tensor for name, tensor in tensors.items() if not wanted or name in wanted]
    return outputs


def _labels(bundle: Bundle, head: str, matrix: Any) -> list[str]:
    about = bundle.card.heads[head]
    chosen = decisions(about, matrix)
    if about.kind == "multiclass":
        return [about.labels[index] for index in chosen]
    return [
        json.dumps(
            [label for label, applies in zip(about.labels, row, strict=True) if applies], ensure_ascii=False
        )
        for row in chosen
    ]
