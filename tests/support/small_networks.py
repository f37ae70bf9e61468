"""Networks of two small layers, of each family that the quick ways know, and a batch for them."""

from __future__ import annotations

from typing import Any

import torch

from model.spec import Pooling
from model.train.network import MultiHeadNetwork

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
DISTILBERT = {
    "vocab_size": 40,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
QUICK = ["bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"]
IDS = torch.tensor([[2, 5, 6, 7, 3, 9], [2, 8, 3, 1, 1, 1], [2, 8, 9, 9, 3, 1]])
MASK = (IDS != 1).long()


def small_network(family: str, pooling: Pooling = "mean", **changes: Any) -> MultiHeadNetwork:
    """In training mode, without dropout, with biases that are not 0."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(5)
    sizes = DISTILBERT if family == "distilbert" else SIZES
    if family == "electra":
        changes = {"embedding_size": 16, **changes}
    config = AutoConfig.for_model(family, **{**sizes, **changes})
    encoder = AutoModel.from_config(config, attn_implementation="eager")
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    network = MultiHeadNetwork(encoder, {"a": 3}, pooling=pooling, dropout=0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        biased = isinstance(module, torch.nn.LayerNorm | torch.nn.Linear) and module.bias is not None
        if biased:  # not 0, or exchanges go unseen
            torch.nn.init.normal_(module.bias, std=0.2)
    return network.train()
