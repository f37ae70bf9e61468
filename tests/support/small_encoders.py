"""Encoders of the usual kinds, with random weights and as small as they go.

Imports torch and transformers when one is made, not before.
"""

from __future__ import annotations

from typing import Any

POSITIONS = 80
"""Longest text in tokens."""
_SIZES: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": POSITIONS,
}
_ROBERTA = _SIZES | {"type_vocab_size": 1, "pad_token_id": 1, "max_position_embeddings": POSITIONS + 2}
KINDS: dict[str, dict[str, Any]] = {
    "bert": _SIZES,
    "electra": _SIZES | {"embedding_size": 16},
    "distilbert": {
        "vocab_size": 200,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 48,
        "max_position_embeddings": POSITIONS,
    },
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    # As DeBERTa-v3 is: relative positions in buckets, normed, with the attention's own projections.
    "deberta-v2": _SIZES
    | {
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "max_relative_positions": -1,
        "position_biased_input": False,
        "pad_token_id": 0,
    },
    # Rotary positions, two layers in three local.
    "modernbert": _SIZES
    | {
        "num_hidden_layers": 3,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
        "local_attention": 16,
        "global_attn_every_n_layers": 3,
    },
}
"""`model_type` → its configuration."""
ALIKE = {"camembert": "roberta"}
"""Further `model_type` → the one whose configuration it takes."""


def small_encoder(kind: str, **other: Any) -> Any:
    """The encoder, without pooler, with eager attention and weights that differ from each other."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, **{**KINDS[ALIKE.get(kind, kind)], **other})
    encoder = AutoModel.from_config(config, attn_implementation="eager", dtype=torch.float32)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(0.15 * torch.randn_like(weight))
    return encoder.eval()


def small_network(kind: str, heads: dict[str, int], *, pooling: Any = "mean") -> Any:
    """The encoder with heads of so many labels, whose logits differ between texts."""
    import torch

    from model.train.network import MultiHeadNetwork

    network = MultiHeadNetwork(small_encoder(kind), heads, pooling=pooling, dropout=0.0).eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if not name.startswith("encoder."):
                weight.normal_()
    return network
