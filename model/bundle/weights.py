"""Looks through the weights of an ONNX file for values that are not finite, without the `onnx` package.

Reads just enough of the protobuf wire format (https://protobuf.dev/programming-guides/encoding) to find
the tensors, a piece at a time, so that a bundle of any size is checked in a few MiB of memory. Knows
nothing of heads, and does not run anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

PIECE_BYTES = 1 << 20

# Field numbers of onnx.proto3.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_FUNCTION_NODE = 7
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 8, 9
_TENSOR_DOUBLES, _TENSOR_EXTERNAL = 10, 13

_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
    16: np.dtype("<u2"),
}
"""TensorProto.DataType of each floating type → numpy's; bfloat16 as its bits."""
_BFLOAT16 = 16


class NotOnnx(ValueError):
    """The file is not an ONNX model, is cut short, or keeps weights in other files."""


def first_bad_tensor(path: Path) -> str | None:
    """Name of the first tensor with a value that is not finite, or none.

    A single number may be infinite: graphs write masks that way.

    Raises:
        NotOnnx: the file cannot be read as an ONNX model that holds all of its weights.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        graphs = 0
        for field, kind, start, end in _fields(file, size):
            if kind != 2 or field not in (_MODEL_GRAPH, _MODEL_FUNCTIONS):
                continue
            graphs += field == _MODEL_GRAPH
            nodes = _GRAPH_NODE if field == _MODEL_GRAPH else _FUNCTION_NODE
            bad = _in_graph(file, start, end, nodes)
            if bad is not None:
                return bad
    if not graphs:
        raise NotOnnx("no graph in the file")
    return None


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of the message from here to `end`: (number, wire type, start, end); of a varint, its value."""
    while file.tell() < end:
        tag = _varint(file)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value = _varint(file)
            yield field, kind, value, value
            continue
        sizes = {1: 8, 5: 4}
        if kind not in (1, 2, 5):
            raise NotOnnx(f"wire type {kind} at byte {file.tell()}")
        length = _varint(file) if kind == 2 else sizes[kind]
        start = file.tell()
        if start + length > end:
            raise NotOnnx(f"a field at byte {start} runs past the end: the file is cut short or damaged")
        yield field, kind, start, start + length
        file.seek(start + length)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise NotOnnx("the file ends in the middle of a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise NotOnnx(f"a number longer than 10 bytes at byte {file.tell()}")


def _in_graph(file: BinaryIO, start: int, end: int, node_field: int) -> str | None:
    file.seek(start)
    for field, kind, inner, inner_end in _fields(file, end):
        bad = None
        if kind == 2 and field == node_field:
            bad = _in_node(file, inner, inner_end)
        elif kind == 2 and field == _GRAPH_INITIALIZER and node_field == _GRAPH_NODE:
            bad = _in_tensor(file, inner, inner_end)
        if bad is not None:
            return bad
    return None


def _in_node(file: BinaryIO, start: int, end: int) -> str | None:
    file.seek(start)
    for field, kind, inner, inner_end in _fields(file, end):
        if kind != 2 or field != _NODE_ATTRIBUTE:
            continue
        file.seek(inner)
        for part, part_kind, at, at_end in _fields(file, inner_end):
            bad = None
            if part_kind == 2 and part in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                bad = _in_tensor(file, at, at_end)
            elif part_kind == 2 and part in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                bad = _in_graph(file, at, at_end, _GRAPH_NODE)
            if bad is not None:
                return bad
    return None


def _in_tensor(file: BinaryIO, start: int, end: int) -> str | None:
    file.seek(start)
    name, data_type, elements = "(unnamed)", 0, 1
    pieces: list[tuple[int, int, int | None]] = []
    for field, kind, inner, inner_end in _fields(file, end):
        if field == _TENSOR_TYPE:
            data_type = inner
        elif field == _TENSOR_DIMS:
            dims = [inner] if kind == 0 else _packed(file, inner_end)
            elements *= math.prod(dims)
        elif field == _TENSOR_NAME:
            name = file.read(inner_end - inner).decode("utf-8", "replace")
        elif field == _TENSOR_EXTERNAL:
            raise NotOnnx(f"weights of {name} lie in another file, expected in model.onnx itself")
        elif field in (_TENSOR_RAW, _TENSOR_FLOATS, _TENSOR_DOUBLES):
            stored_as = {_TENSOR_RAW: None, _TENSOR_FLOATS: 1, _TENSOR_DOUBLES: 11}[field]
            pieces.append((inner, inner_end, stored_as))
    for inner, inner_end, stored_as in pieces:
        kept = stored_as or data_type
        if kept in _DTYPES and not _finite(file, inner, inner_end, kept, lone=elements == 1):
            return name
    return None


def _packed(file: BinaryIO, end: int) -> list[int]:
    values = []
    while file.tell() < end:
        values.append(_varint(file))
    return values


def _finite(file: BinaryIO, start: int, end: int, data_type: int, *, lone: bool) -> bool:
    dtype = _DTYPES[data_type]
    if (end - start) % dtype.itemsize:
        raise NotOnnx(f"{end - start} bytes of numbers of {dtype.itemsize} bytes each")
    file.seek(start)
    while start < end:
        piece = file.read(min(PIECE_BYTES, end - start))
        start += len(piece)
        values: NDArray[Any] = np.frombuffer(piece, dtype)
        if data_type == _BFLOAT16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if not (np.isfinite(values).all() or (lone and not np.isnan(values).any())):
            return False
    return True
