"""An encoder on texts that lie end to end, without padding: its way on a GPU.

All products see only tokens, and attention is by text, in FlashAttention's form for texts of different
lengths (Dao 2023, "FlashAttention-2"; PyTorch's `varlen_attn`). States have the products' type throughout, as
on the CPU (`layer`). Before it is used it is tried: where the kernel is absent or gives other states than
transformers' own way, there is none. Does not know heads or batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import FAMILIES, is_plain

TOLERANCE = 0.05
"""Largest difference between the states of both ways in the trial, root mean square, as a share of the
states' spread."""
TRIED = (2, 7, 5)
"""Tokens of the texts of the trial."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the texts of a padded batch (B, T) lie end to end."""

    where: Tensor
    """(N,) of each token: its place among the B·T."""
    ends: Tensor
    """(B + 1,) int32: where each text begins, and where the last one ends."""
    longest: int
    """Tokens of the longest text."""


Attention = Callable[[Tensor, Tensor, Tensor, Segments], Tensor]
"""Query, key and value, each (N, A, D/A), → (N, A, D/A), each text by itself."""


def segments_of(mask: NDArray[Any], put: Callable[[NDArray[Any]], Tensor]) -> Segments:
    """Of a mask (B, T) on the host, so that nobody waits for a GPU; `put` brings arrays to the device."""
    lengths = mask.sum(1)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Segments(put(np.flatnonzero(mask)), put(ends), int(lengths.max()))


def by_kernel(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
    """FlashAttention for texts of different lengths; on CUDA, in half precision."""
    from torch.nn.attention.varlen import varlen_attn

    longest, ends = segments.longest, segments.ends
    found: Any = varlen_attn(q, k, v, ends, ends, longest, longest)
    result: Tensor = found
    return result


def by_text(q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
    """One text after the other, on any device: what the kernel must give."""
    parts = []
    for start, end in pairwise(segments.ends.tolist()):
        one_q, one_k, one_v = (t[start:end].transpose(0, 1) for t in (q, k, v))
        parts.append(F.scaled_dot_product_attention(one_q, one_k, one_v).transpose(0, 1))
    return torch.cat(parts)


class PackedEncoder:
    """Computes what `encoder(ids, mask).last_hidden_state` is at tokens; 0 at padding."""

    def __init__(self, encoder: nn.Module, dtype: torch.dtype, attention: Attention) -> None:
        """`encoder` is of one of `FAMILIES` and plain; its matrices have the type `dtype`."""
        config: Any = encoder.config
        place, self.names = FAMILIES[config.model_type]
        self.encoder, self.dtype, self.attention = encoder, dtype, attention
        self.blocks: Any = encoder.get_submodule(place)
        self.heads = int(config.num_attention_heads)

    def __call__(self, ids: Tensor, segments: Segments) -> Tensor:
        """ids: (B, T) → (B, T, D), of the products' type."""
        with torch.autocast(ids.device.type, enabled=False):
            states = self.encoder.embeddings(input_ids=ids)  # type: ignore[operator]
            project = getattr(self.encoder, "embeddings_project", None)
            if project is not None:
                states = project(states.to(project.weight.dtype))
            flat = states.flatten(0, 1)
            x = flat.index_select(0, segments.where).to(self.dtype)
            for block in self.blocks:
                x = self._layer(x, block, segments)
            padded = x.new_zeros(flat.shape).index_copy(0, segments.where, x)
        result: Tensor = padded.view(states.shape)
        return result

    def _layer(self, x: Tensor, block: nn.Module, segments: Segments) -> Tensor:
        """(N, D) → (N, D): the layer of `model.train.fast.layer`, for autograd."""

        def part(name: str) -> Any:
            return block.get_submodule(self.names[name])

        of_heads = (len(x), self.heads, x.shape[1] // self.heads)
        q, k, v = (block.get_submodule(name)(x).view(of_heads) for name in self.names["qkv"])
        context = self.attention(q, k, v, segments).reshape(x.shape)
        y = _normed(part("out")(context) + x, part("norm_1"))
        return _normed(part("down")(F.gelu(part("up")(y))) + y, part("norm_2"))


def _normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """A norm whose weights are float32; a GPU's kernel takes one type, and computes in float32."""
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def packed_encoder(
    encoder: nn.Module, dtype: torch.dtype, device: torch.device, attention: Attention = by_kernel
) -> PackedEncoder | None:
    """The packed way through an encoder on its device; none where it is not one of `FAMILIES`, or the trial
    fails.

    Args:
        dtype: of the products, and of the encoder's matrices.
    """
    config: Any = encoder.config
    if config.model_type not in FAMILIES or not is_plain(encoder):
        return None
    packed = PackedEncoder(encoder, dtype, attention)
    try:
        return packed if _agrees(packed, encoder, device) else None
    except (RuntimeError, ImportError):  # this device, type or width has no such kernel
        return None


def _agrees(packed: PackedEncoder, encoder: nn.Module, device: torch.device) -> bool:
    """Whether both ways give the same states of a few texts, and the packed one finite gradients."""
    lengths = np.array(TRIED)
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    config: Any = encoder.config
    vocabulary, pad = int(config.vocab_size), int(config.pad_token_id or 0)
    ids = np.where(mask > 0, np.arange(mask.size).reshape(mask.shape) % max(1, vocabulary - 5) + 5, pad)
    ids_there, mask_there = (torch.from_numpy(array).to(device) for array in (ids, mask))
    segments = segments_of(mask, lambda array: torch.from_numpy(array).to(device))
    with torch.no_grad(), torch.autocast(device.type, packed.dtype, enabled=packed.dtype != torch.float32):
        usual = encoder(input_ids=ids_there, attention_mask=mask_there).last_hidden_state.float()
    found = packed(ids_there, segments).float()
    tokens = mask_there.bool()
    far = (found.detach() - usual)[tokens].square().mean().sqrt() / usual[tokens].std()
    learning = [p for p in encoder.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(found[tokens].square().mean(), learning, allow_unused=True)
    finite = all(bool(g.isfinite().all()) for g in gradients if g is not None)
    return float(far) <= TOLERANCE and finite
