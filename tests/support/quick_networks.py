"""Networks of small encoders, of each family that the quick ways know, and a batch for them."""

from __future__ import annotations

from typing import Any

import torch

from model.spec import Pooling
from model.train.network import MultiHeadNetwork
from tests.support.small_encoders import small_encoder

PAD = 1
QUICK = ["bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"]
IDS = torch.tensor([[2, 5, 6, 7, 3, 9], [2, 8, 3, 1, 1, 1], [2, 8, 9, 9, 3, 1]])
MASK = (IDS != PAD).long()


def quick_network(family: str, pooling: Pooling = "mean", **changes: Any) -> MultiHeadNetwork:
    """In training mode, without dropout."""
    encoder = small_encoder(family, pad_token_id=PAD, **changes)
    network = MultiHeadNetwork(encoder, {"a": 3}, pooling=pooling, dropout=0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return network.train()
