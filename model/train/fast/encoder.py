"""An encoder's layers as `layer` computes them, where the encoder is of a family that it knows.

Knows how transformers names the parts of BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA and DistilBERT.
Every other family, other activations, dropout inside the encoder and relative positions take transformers'
own way; `quick_encoder` then gives none. Does not know heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .layer import Layer, LayerTensors, Shape, backward, forward, key_bias
from .workers import Workers, shares

_BERT = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "out": "attention.output.dense",
    "norm_1": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm_2": "output.LayerNorm",
}
_DISTILBERT = {
    "qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "out": "attention.out_lin",
    "norm_1": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm_2": "output_layer_norm",
}
FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), ("encoder.layer", _BERT)),
    "distilbert": ("transformer.layer", _DISTILBERT),
}
"""`model_type` → where the layers are, and what the parts of one are called."""
KEPT_WHOLE_TOKENS = 1024
"""Tokens of a batch of which everything is kept for the backward pass: half of the default of
`train.batch_tokens`, so that the longest batches stay those that take most memory."""
PARAMETERS = 16
"""Of a layer: a weight and a bias of six products and two norms."""


class QuickEncoder:
    """Computes what `encoder(ids, mask).last_hidden_state` is, on the CPU."""

    def __init__(
        self, encoder: nn.Module, layers: list[Layer], dtype: torch.dtype, workers: Workers, *, frozen: bool
    ) -> None:
        """`frozen`: the embeddings do not learn, so nothing is kept for their gradients."""
        self.encoder, self.layers, self.dtype = encoder, layers, dtype
        self.workers, self.frozen = workers, frozen
        self.trigger = torch.zeros((), requires_grad=True)

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of the last layer, (B, T, D), of the products' type."""
        learning = torch.is_grad_enabled() and bool(self.layers[0].gradients)
        with torch.autocast("cpu", enabled=False):
            with torch.set_grad_enabled(learning and not self.frozen):
                x = self._embedded(ids)
            if learning:
                return _Layers.apply(x, mask, self, self.trigger)  # type: ignore[no-any-return, no-untyped-call]
            return torch.cat([out for out, _ in self.forward(x, mask, keep=False)])

    def forward(self, x: Tensor, mask: Tensor, *, keep: bool) -> list[tuple[Tensor, list[Any]]]:
        """Of each worker: the states of its rows, and where they are to be kept, what the backward pass needs
        of each layer, with its `Shape` last."""
        parts = shares(len(x), self.workers.count)

        def work(worker: int) -> tuple[Tensor, list[Any]]:
            rows, tokens, width = x[parts[worker]].shape
            bias = key_bias(mask[parts[worker]], self.layers[0].heads, self.dtype)
            shape = Shape(rows, tokens, bias, kept_whole=len(x) * tokens <= KEPT_WHOLE_TOKENS)
            states, kept = x[parts[worker]].reshape(rows * tokens, width), []
            with torch.no_grad():
                for layer in self.layers:
                    states, needed = forward(states, layer, shape)
                    if keep:
                        kept.append(needed)
            return states.view(rows, tokens, width), [*kept, shape]

        return self.workers.each(work, len(parts))

    def backward(self, gradient: Tensor, kept: list[list[Any]], *, wanted: bool) -> list[Tensor | None]:
        """Of each worker: the gradient by its embedded rows, where it is `wanted`."""
        parts = shares(len(gradient), self.workers.count)

        def work(worker: int) -> Tensor | None:
            *needed, shape = kept[worker]
            part = gradient[parts[worker]]
            by_x: Tensor | None = part.reshape(-1, part.shape[-1]).to(self.dtype)
            with torch.no_grad():
                for number in range(len(self.layers) - 1, -1, -1):
                    assert by_x is not None
                    more = wanted or number > 0
                    layer = self.layers[number]
                    by_x = backward(by_x, needed.pop(), layer, shape, worker=worker, wanted=more)
            return None if by_x is None else by_x.view(part.shape)

        result = self.workers.each(work, len(parts))
        for idle in range(len(parts), self.workers.count):
            for layer in self.layers:
                layer.gradients[idle].clear()
        return result

    def _embedded(self, ids: Tensor) -> Tensor:
        states = self.encoder.embeddings(input_ids=ids)  # type: ignore[operator]
        project = getattr(self.encoder, "embeddings_project", None)
        if project is not None:
            states = project(states.to(project.weight.dtype))
        return states.to(self.dtype)  # type: ignore[no-any-return]


class _Layers(torch.autograd.Function):
    """All layers for autograd, whose only differentiable input is the embedded texts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, quick: QuickEncoder, trigger: Tensor) -> Tensor:
        """`trigger` is any tensor that gets a gradient: without it layers on frozen embeddings would have
        none."""
        found = quick.forward(x, mask, keep=True)
        ctx.quick, ctx.kept = quick, [kept for _, kept in found]
        return torch.cat([out for out, _ in found])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None]:
        """By the embedded texts alone; the weights' gradients are written where they belong."""
        found = ctx.quick.backward(gradient, ctx.kept, wanted=ctx.needs_input_grad[0])
        return (torch.cat(found) if ctx.needs_input_grad[0] else None), None, None, None


def quick_encoder(
    network: nn.Module,
    dtype: torch.dtype,
    workers: Workers,
    gradients: Sequence[Mapping[str, Tensor]] = (),
) -> tuple[QuickEncoder, frozenset[str]] | None:
    """The quick way through `network.encoder`, and the names of the parameters whose gradients it writes;
    none where the encoder is not one that it knows.

    Args:
        dtype: of the products.
        gradients: of each worker, name in `network` → where its gradient is to be written; empty: only
            answers are wanted.
    """
    encoder: Any = network.encoder
    config = encoder.config
    family = FAMILIES.get(config.model_type)
    if family is None or not is_plain(encoder):
        return None
    place, names = family
    heads = int(config.num_attention_heads)
    layers, written = [], set[str]()
    for number, block in enumerate(encoder.get_submodule(place)):
        own = {n: f"encoder.{place}.{number}.{n}" for n, _ in block.named_parameters()}
        if len(own) != PARAMETERS or not all(full in one for full in own.values() for one in gradients):
            return None
        weights = _tensors(names, dict(block.named_parameters()), dtype)
        into = [
            _tensors(names, {n: one[full] for n, full in own.items()}, dtype, joined=True)
            for one in gradients
        ]
        if weights is None or None in into:
            return None
        written.update(own.values() if gradients else ())
        eps = tuple(float(block.get_submodule(names[n]).eps) for n in ("norm_1", "norm_2"))
        layers.append(Layer(weights, tuple(into), heads, eps))  # type: ignore[arg-type]
    if not layers:
        return None
    frozen = not any(p.requires_grad for p in encoder.embeddings.parameters())
    frozen = frozen and getattr(encoder, "embeddings_project", None) is None
    return QuickEncoder(encoder, layers, dtype, workers, frozen=frozen), frozenset(written)


def is_plain(encoder: Any) -> bool:
    """Whether activations, positions and dropout are those that `layer` computes."""
    config = encoder.config
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    positions = getattr(config, "position_embedding_type", None) or "absolute"
    dropout = any(m.p for m in encoder.modules() if isinstance(m, nn.Dropout)) and encoder.training
    return activation == "gelu" and positions == "absolute" and not dropout


def _tensors(
    names: Mapping[str, Any], found: Mapping[str, Tensor], dtype: torch.dtype, *, joined: bool = False
) -> LayerTensors | None:
    """The parts of a layer. Query, key and value lie one after the other in flat memory; where they don't,
    they are joined, or where the result must be a view (`joined`) there is none."""
    parts: dict[str, Tensor] = {}
    for part, name in names.items():
        for suffix, kind in (("", "weight"), ("_bias", "bias")):
            if part == "qkv":
                three = [found[f"{one}.{kind}"].detach() for one in name]
                whole = _one_view(three)
                if whole is None and joined:
                    return None
                parts[part + suffix] = (torch.cat(three) if whole is None else whole).to(dtype)
            elif part.startswith("norm"):
                parts[part + suffix] = found[f"{name}.{kind}"].detach()
            else:
                parts[part + suffix] = found[f"{name}.{kind}"].detach().to(dtype)
    return LayerTensors(**parts)


def _one_view(parts: list[Tensor]) -> Tensor | None:
    """Tensors that lie one after the other, as one; none where they don't."""
    place = parts[0].storage_offset()
    for part in parts:
        same = part.untyped_storage().data_ptr() == parts[0].untyped_storage().data_ptr()
        if not same or not part.is_contiguous() or part.storage_offset() != place:
            return None
        place += part.numel()
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    return parts[0].as_strided(shape, parts[0].stride(), parts[0].storage_offset())
