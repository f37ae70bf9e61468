"""One transformer layer, forward and backward, in as few operations as PyTorch has for it.

    y = N₁(x + O·attention(QKV·x)),  out = N₂(y + D·gelu(U·y))          (Vaswani et al. 2017, section 3.1)

That is the layer of BERT and all that were made like it. Written by hand because on a CPU the general way
spends much of a step outside of the products: autocast converts weights and states back and forth, query, key
and value are three products, and every gradient is a new piece of memory. Here states have the products' type
throughout, moments and softmax are float32, and gradients of weights go straight to where the optimizer
reads them.

Does not know encoders, tokens or heads. Axes: B rows, T tokens, N = B·T, D hidden, A heads, F inner size.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerTensors:
    """Weights of one layer, or their gradients. Norms are float32, all others of the products' type."""

    qkv: Tensor
    """(3D, D): query, key and value, one below the other."""
    qkv_bias: Tensor
    """(3D,)."""
    out: Tensor
    """(D, D)."""
    out_bias: Tensor
    norm_1: Tensor
    """(D,)."""
    norm_1_bias: Tensor
    up: Tensor
    """(F, D)."""
    up_bias: Tensor
    down: Tensor
    """(D, F)."""
    down_bias: Tensor
    norm_2: Tensor
    norm_2_bias: Tensor

    def clear(self) -> None:
        """Set all to 0."""
        for field in fields(self):
            getattr(self, field.name).zero_()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it is computed."""

    weights: LayerTensors
    gradients: tuple[LayerTensors, ...]
    """Where each worker writes gradients; empty: they are not wanted."""
    heads: int
    eps: tuple[float, float]
    """Added to the variance by the first and the second norm."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows of a batch look like."""

    rows: int
    tokens: int
    bias: Tensor | None
    """(B·A, 1, T), added to the scores: 0 for tokens, very low for padding; none where nothing is padded."""
    kept_whole: bool = False
    """Whether GELU's and the first norm's results are kept, too, and not computed again: a third more memory
    of a layer."""


def key_bias(mask: Tensor, heads: int, dtype: torch.dtype) -> Tensor | None:
    """`Shape.bias` of a mask on the CPU, (B, T), 1 for tokens and 0 for padding."""
    if bool(mask.all()):
        return None
    low = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask == 0, -1e9)
    return low.repeat_interleave(heads, 0).unsqueeze(1)


def forward(x: Tensor, layer: Layer, shape: Shape) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(N, D) → (N, D), and what the backward pass needs."""
    w = layer.weights
    width = x.shape[1]
    each = width // layer.heads
    split = (shape.rows, shape.tokens, 3, layer.heads, each)
    qkv = torch.addmm(w.qkv_bias, x, w.qkv.t()).view(split).permute(2, 0, 3, 1, 4).contiguous()
    q, k, v = qkv.view(3, shape.rows * layer.heads, shape.tokens, each).unbind(0)
    scores = torch.bmm(q, k.transpose(1, 2)).mul_(each**-0.5)
    if shape.bias is not None:
        scores.add_(shape.bias)
    # In float32: PyTorch's softmax of short bfloat16 rows takes four times as long.
    shares = torch.softmax(scores, -1, dtype=torch.float32).to(x.dtype)
    context = _joined(torch.bmm(shares, v), shape, layer.heads)
    y = torch.addmm(w.out_bias, context, w.out.t()).add_(x)
    normed, mean_1, rstd_1 = torch.native_layer_norm(y, [width], w.norm_1, w.norm_1_bias, layer.eps[0])
    inner = torch.addmm(w.up_bias, normed, w.up.t())
    active = torch.nn.functional.gelu(inner)
    z = torch.addmm(w.down_bias, active, w.down.t()).add_(normed)
    out, mean_2, rstd_2 = torch.native_layer_norm(z, [width], w.norm_2, w.norm_2_bias, layer.eps[1])
    again = (normed, active) if shape.kept_whole else ()
    kept = (x, q, k, v, shares, context, y, mean_1, rstd_1, inner, z, mean_2, rstd_2, *again)
    return out, kept


def backward(
    gradient: Tensor, kept: tuple[Tensor, ...], layer: Layer, shape: Shape, *, worker: int, wanted: bool
) -> Tensor | None:
    """Gradient of `forward` by its input, (N, D), where it is `wanted`; those of the weights are written to
    the worker's part of `layer.gradients`."""
    x, q, k, v, shares, context, y, mean_1, rstd_1, inner, z, mean_2, rstd_2, *again = kept
    w, g = layer.weights, layer.gradients[worker]
    each = x.shape[1] // layer.heads
    norm_1, norm_2 = (w.norm_1, w.norm_1_bias), (w.norm_2, w.norm_2_bias)
    d_z = _norm_backward(gradient, z, (mean_2, rstd_2), norm_2, (g.norm_2, g.norm_2_bias))
    _weight_gradient(d_z, again[1] if again else torch.nn.functional.gelu(inner), g.down, g.down_bias)
    d_inner = torch.ops.aten.gelu_backward(torch.mm(d_z, w.down), inner)
    normed = again[0] if again else torch.native_layer_norm(y, [y.shape[1]], *norm_1, layer.eps[0])[0]
    _weight_gradient(d_inner, normed, g.up, g.up_bias)
    d_normed = torch.mm(d_inner, w.up).add_(d_z)
    d_y = _norm_backward(d_normed, y, (mean_1, rstd_1), norm_1, (g.norm_1, g.norm_1_bias))
    _weight_gradient(d_y, context, g.out, g.out_bias)
    d_context = torch.mm(d_y, w.out).view(shape.rows, shape.tokens, layer.heads, each).transpose(1, 2)
    d_context = d_context.reshape(shape.rows * layer.heads, shape.tokens, each)
    d_shares = torch.bmm(d_context, v.transpose(1, 2))
    exact = d_shares.float(), shares.float()
    d_scores = torch.ops.aten._softmax_backward_data(*exact, -1, torch.float32).mul_(each**-0.5).to(x.dtype)
    d_qkv = x.new_empty(3, *q.shape)
    torch.bmm(d_scores, k, out=d_qkv[0])
    torch.bmm(d_scores.transpose(1, 2), q, out=d_qkv[1])
    torch.bmm(shares.transpose(1, 2), d_context, out=d_qkv[2])
    d_qkv = d_qkv.view(3, shape.rows, layer.heads, shape.tokens, each).permute(1, 3, 0, 2, 4)
    d_qkv = d_qkv.reshape(shape.rows * shape.tokens, 3 * x.shape[1])
    _weight_gradient(d_qkv, x, g.qkv, g.qkv_bias)
    return torch.mm(d_qkv, w.qkv).add_(d_y) if wanted else None


def _joined(context: Tensor, shape: Shape, heads: int) -> Tensor:
    """(B·A, T, D/A) → (N, D)."""
    parts = context.view(shape.rows, heads, shape.tokens, context.shape[-1])
    return parts.transpose(1, 2).reshape(shape.rows * shape.tokens, -1)


def _weight_gradient(by_output: Tensor, given: Tensor, matrix: Tensor, bias: Tensor) -> None:
    torch.mm(by_output.t(), given, out=matrix)
    torch.sum(by_output, 0, out=bias)


def _norm_backward(
    gradient: Tensor,
    given: Tensor,
    moments: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    into: tuple[Tensor, Tensor],
) -> Tensor:
    by_x, by_weight, by_bias = torch.ops.aten.native_layer_norm_backward(
        gradient, given, [given.shape[1]], *moments, *weights, [True, True, True]
    )
    into[0].copy_(by_weight)
    into[1].copy_(by_bias)
    result: Tensor = by_x
    return result
