"""The network: one encoder, one forward pass, the logits of every head.

Also rebuilds a network from a fitted folder. Does not know how it is trained, and nothing of texts.

Axes: B rows, T tokens, D hidden size, L_h labels of head h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..job import read_object
from ..spec import HeadKind, HeadSpec, Pooling, head_from_json
from .fast.encoder import FAMILIES
from .fast.packed import PackedEncoder, Segments

NETWORK_SCHEMA = 1


class MultiHeadNetwork(nn.Module):
    """A pretrained encoder and one linear layer a head."""

    def __init__(
        self, encoder: nn.Module, labels_per_head: Mapping[str, int], *, pooling: Pooling, dropout: float
    ) -> None:
        """`encoder(input_ids, attention_mask).last_hidden_state` must be (B, T, D)."""
        super().__init__()
        self.encoder = encoder
        self.quick: Callable[[Tensor, Tensor], Tensor] | None = None
        """Computes the encoder's states another way (`model.train.fast`); none: the encoder itself does."""
        self.packed: PackedEncoder | None = None
        """Computes them of texts end to end, where a call says where these lie."""
        self.pooling = pooling
        hidden = int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.dropout = nn.Dropout(dropout)
        # Prefixed, because a head may be named like a method of ModuleDict ("type", "keys").
        layers = {f"head_{name}": nn.Linear(hidden, n) for name, n in labels_per_head.items()}
        self.heads = nn.ModuleDict(layers)
        self.head_names = tuple(labels_per_head)
        for layer in layers.values():
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.attention = nn.Linear(hidden, len(self.head_names)) if pooling == "attention" else None
        if self.attention is not None:
            # Zeros: training starts from the masked mean, in which every token counts equally.
            nn.init.zeros_(self.attention.weight)
            nn.init.zeros_(self.attention.bias)

    @torch.no_grad()
    def start_at_frequencies(self, head: str, kind: HeadKind, shares: Tensor) -> None:
        """Set a head's bias so that it begins by answering the training labels' frequencies.

        Saves the first steps, and many more for rare labels of a multilabel head (Lin et al. 2017,
        "Focal loss", section 3.3).

        Args:
            shares: (L_h,) share of the labelled rows that have each label.
        """
        shares = shares.clamp(1e-4, 1 - 1e-4)
        match kind:
            case "multiclass":
                bias = shares.log()
            case "multilabel":
                bias = torch.logit(shares)
            case _:
                assert_never(kind)
        self.heads[f"head_{head}"].bias.copy_(bias)  # type: ignore[operator]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        *,
        unpadded: bool = False,
        segments: Segments | None = None,
    ) -> dict[str, Tensor]:
        """Logits of every head, float32.

        Args:
            input_ids: (B, T), integers.
            attention_mask: (B, T), 1 for tokens and 0 for padding.
            unpadded: says that nothing is padded, so that nobody has to look on the device.
            segments: where the texts lie end to end, for `packed`.

        Returns: head → (B, L_h).
        """
        if self.quick is not None:
            states = self.quick(input_ids, attention_mask).float()
        elif self.packed is not None and segments is not None:
            states = self.packed(input_ids, segments).float()
        else:
            mask: Tensor | None = attention_mask
            if attention_mask.is_cuda:
                mask = mask_without_looking(self.encoder, attention_mask, unpadded=unpadded)
            states = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
        pooled = self._pool(states, attention_mask)
        return {
            name: self.heads[f"head_{name}"](self.dropout(pooled[name])).float() for name in self.head_names
        }

    def _pool(self, states: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """states: (B, T, D) → head → (B, D)."""
        keep = attention_mask.unsqueeze(-1).to(states.dtype)
        match self.pooling:
            case "cls":
                return dict.fromkeys(self.head_names, states[:, 0])
            case "mean":
                mean = (states * keep).sum(1) / keep.sum(1).clamp(min=1)
                return dict.fromkeys(self.head_names, mean)
            case "attention":
                # One learned query a head (Yang et al. 2016, eq. 5–7, without the MLP).
                assert self.attention is not None
                scores = self.attention(states).float().masked_fill(keep == 0, -1e9)  # (B, T, H)
                shares = scores.softmax(1).to(states.dtype)
                pooled = torch.einsum("bth,btd->bhd", shares, states)
                return {name: pooled[:, h] for h, name in enumerate(self.head_names)}
            case _:
                assert_never(self.pooling)


def mask_without_looking(encoder: nn.Module, mask: Tensor, *, unpadded: bool) -> Tensor | None:
    """A mask for which transformers does not ask whether all of it is 1: to answer that, the host would wait
    for the GPU in every step.

    Returns: none where nothing is padded; else (B, 1, 1, T), true for tokens, for families whose layers all
        see the whole text, and the mask itself for others.
    """
    if unpadded:
        return None
    config: Any = encoder.config
    if config.model_type not in FAMILIES or config._attn_implementation != "sdpa":
        return mask
    return mask.bool()[:, None, None, :]


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted folder in memory."""

    network: MultiHeadNetwork
    """In evaluation mode, on the CPU, float32."""
    heads: dict[str, HeadSpec]
    """Name → head, labels filled in, in the order of the outputs."""
    tokenizer_path: Path
    """`tokenizer.json`; cuts at `max_length`, does not pad."""
    max_length: int
    """Longest text in tokens."""
    pad_token_id: int
    """Token id for padding."""
    calibration: dict[str, dict[str, Any]]
    """Head → {"temperature", "thresholds" (one a label, multilabel only), "ece_before", "ece_after"}."""
    description: dict[str, Any]
    """The whole of `network.json`: encoder configuration, backbone, pooling."""
    fit: dict[str, Any]
    """The whole of `fit.json`: device, precision, rates, validation metrics, versions."""


def describe_network(
    network: MultiHeadNetwork,
    heads: Mapping[str, HeadSpec],
    *,
    max_length: int,
    pad_token_id: int,
    backbone: Mapping[str, Any],
) -> dict[str, Any]:
    """All that `rebuild_network` needs besides the weights, as JSON."""
    config = network.encoder.config.to_dict()  # type: ignore[union-attr, operator]
    return {
        "schema_version": NETWORK_SCHEMA,
        "encoder": {k: v for k, v in config.items() if k not in ("_name_or_path", "dtype")},
        "heads": {
            name: {"kind": h.kind, "labels": list(h.labels), "weight": h.weight, "metric": h.primary_metric}
            for name, h in heads.items()
        },
        "pooling": network.pooling,
        "max_length": max_length,
        "pad_token_id": pad_token_id,
        "backbone": dict(backbone),
    }


def rebuild_network(description: Mapping[str, Any], *, attn_implementation: str = "sdpa") -> MultiHeadNetwork:
    """An untrained network of the described shape. `eager` attention exports to ONNX best."""
    from transformers import AutoConfig, AutoModel

    raw = {k: v for k, v in description["encoder"].items() if k not in ("model_type", "transformers_version")}
    config = AutoConfig.for_model(description["encoder"]["model_type"], **raw)
    encoder = AutoModel.from_config(config, attn_implementation=attn_implementation, dtype=torch.float32)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    labels = {name: len(head["labels"]) for name, head in description["heads"].items()}
    return MultiHeadNetwork(encoder, labels, pooling=description["pooling"], dropout=0.0)


def load_fitted(folder: Path, *, attn_implementation: str = "sdpa") -> FittedModel:
    """The model in a fitted folder.

    Raises:
        BadInput: a file is absent or damaged, or the weights do not fit the network exactly.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    description = read_object(folder / "network.json")
    network = rebuild_network(description, attn_implementation=attn_implementation)
    try:
        weights = load_file(folder / "weights.safetensors")
        network.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(
            f"{folder / 'weights.safetensors'}: damaged, or of another network: {error}"
        ) from error
    if not (folder / "tokenizer.json").is_file():
        raise BadInput(f"{folder}: no tokenizer.json; the folder is not complete, fit again")
    return FittedModel(
        network=network.eval(),
        heads={name: head_from_json(head) for name, head in description["heads"].items()},
        tokenizer_path=folder / "tokenizer.json",
        max_length=description["max_length"],
        pad_token_id=description["pad_token_id"],
        calibration=read_object(folder / "calibration.json"),
        description=description,
        fit=read_object(folder / "fit.json"),
    )
