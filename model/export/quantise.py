"""From a float32 graph to one with 8-bit weights.

Every matrix product with fixed weights becomes `MatMulNBits`: weights in blocks of 64 with one scale a
block, and activations rounded to 8 bits in blocks of one row. The heads stay float32. Word embeddings
become 8 bits wide as well.

Why not dynamic quantisation (`quantize_dynamic`) for the products: it takes one scale for the activations
of the whole batch, padding included, so that the answer to a text depends on its neighbours in the batch.
Measured on logits of the offline encoder (600 texts of up to 128 tokens; root mean square difference from
float32, in standard deviations between texts): dynamic quantisation 0.36, with a scale a column 0.16, of
which the neighbours alone make 0.17; this form 0.05, and nothing from neighbours, at equal speed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from ..bundle.telemetry import load_engine

BLOCK = 64
"""Weights that share a scale. Blocks of 32 are 20% more exact and 20% slower."""


def quantise(model: onnx.ModelProto, scratch: Path) -> onnx.ModelProto:
    """An 8-bit copy of a float32 graph; metadata are kept. `scratch`: folder for intermediate files."""
    load_engine()  # first: its own modules import it
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        DefaultWeightOnlyQuantConfig,
        MatMulNBitsQuantizer,
    )
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    small = onnx.ModelProto()
    small.CopyFrom(model)
    lookups = _embedding_lookups(small)
    if lookups:
        add_pre_process_metadata(small)  # else the root logger warns that it is missing
        quantize_dynamic(
            small,
            scratch / "embeddings.onnx",
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["EmbedLayerNormalization", "Gather"],
            nodes_to_quantize=lookups,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        small = onnx.load(scratch / "embeddings.onnx")
    config = DefaultWeightOnlyQuantConfig(
        block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=8, op_types_to_quantize=("MatMul",)
    )
    work = MatMulNBitsQuantizer(small, nodes_to_exclude=head_products(small), algo_config=config)
    work.process()
    result: onnx.ModelProto = work.model.model
    del result.metadata_props[:]
    result.metadata_props.extend(model.metadata_props)
    return result


def _embedding_lookups(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that look rows up in a large float table."""
    tables = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and np.prod(tensor.dims) > 1 << 16
    }
    found = []
    for index, node in enumerate(model.graph.node):
        if node.op_type in ("EmbedLayerNormalization", "Gather") and tables & set(node.input):
            node.name = node.name or f"{node.op_type}_{index}"
            found.append(node.name)
    return found


def head_products(model: onnx.ModelProto) -> list[str]:
    """Names of the matrix products that make the outputs: the heads. They are small, and stay exact."""
    maker = {output: node for node in model.graph.node for output in node.output}
    found = []
    for value in model.graph.output:
        node = maker.get(value.name)
        while node is not None and node.op_type in ("Add", "Cast", "Identity"):
            node = next((maker[name] for name in node.input if name in maker), None)
        if node is not None and node.op_type == "MatMul":
            found.append(node.name)
    return found
