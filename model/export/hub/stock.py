"""One head of a network as the sequence classifier that transformers has for its encoder.

Those classifiers look at the first token's state only, through a layer of their own, `dense`, and its
activation. Three things make them answer as the head does:

- *The activation is undone.* relu(x) − relu(−x) = x, and gelu(x) − gelu(−x) = x: `dense` holds every logit
  twice, with both signs. tanh(εx)/ε = x − ε²x³/3 + …, with ε = 2⁻¹⁴.
- *Mean and attention become one more layer of the encoder*, whose queries give each token the weight that the
  head's pooling gives it, whose values are the head's logits, and whose feed-forward part is empty.
- *Layer norms are undone.* Beside the logits s, whose sum is kept at 0, the vector that is normalised holds
  a constant part with mean 0 that is R times as large. Its spread is that of the constant part but for a
  share of |s|²/(2DR²), so that the norm divides by a constant, which its gain multiplies by again.

ModernBERT's classifier takes the mean itself, and has a layer norm to be undone. What the head's logits are
divided by, its temperature, is in the weights.

Axes: T tokens, D hidden size, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from ...bundle.card import HeadCard
from ...errors import BadInput
from ...train.network import MultiHeadNetwork

R = 4096.0
"""How much larger the constant part of a normalised vector is than the logits in it. Their sum of squares is
in the hundreds: with D = 384 the error is below 1e-7 of a logit."""
ALONE = 2.0**20
"""How much larger a head's logits are than the first token's state, which a layer adds to them."""
SMALL = 2.0**-14
"""ε of tanh: of a logit of 20 it takes 1e-5."""


class NotStock(BadInput):
    """No sequence classifier of transformers answers as the head does; the message says why."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Where the parts of an encoder's layers are, in its classifier."""

    layers: str
    query: str
    key: str
    value: str
    out: str
    norm: str
    inner: str
    outer: str
    last_norm: str


_BERT = _Names(
    layers="encoder.layer",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    out="attention.output.dense",
    norm="attention.output.LayerNorm",
    inner="intermediate.dense",
    outer="output.dense",
    last_norm="output.LayerNorm",
)
_DISTILBERT = _Names(
    layers="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    out="attention.out_lin",
    norm="sa_layer_norm",
    inner="ffn.lin1",
    outer="ffn.lin2",
    last_norm="output_layer_norm",
)
_DEBERTA = _Names(
    layers="encoder.layer",
    query="attention.self.query_proj",
    key="attention.self.key_proj",
    value="attention.self.value_proj",
    out="attention.output.dense",
    norm="attention.output.LayerNorm",
    inner="intermediate.dense",
    outer="output.dense",
    last_norm="output.LayerNorm",
)


@dataclass(frozen=True, slots=True)
class _Family:
    """A kind of encoder: its layers, and its classifier's own part."""

    dense: str
    classifier: str
    activation: str
    """`tanh`, `relu`, `gelu`, or `norm`: no activation and a layer norm."""
    names: _Names | None
    """None: its classifier pools by itself."""


FAMILIES: dict[str, _Family] = {
    "bert": _Family("bert.pooler.dense", "classifier", "tanh", _BERT),
    "roberta": _Family("classifier.dense", "classifier.out_proj", "tanh", _BERT),
    "xlm-roberta": _Family("classifier.dense", "classifier.out_proj", "tanh", _BERT),
    "electra": _Family("classifier.dense", "classifier.out_proj", "gelu", _BERT),
    "distilbert": _Family("pre_classifier", "classifier", "relu", _DISTILBERT),
    "deberta-v2": _Family("pooler.dense", "classifier", "gelu", _DEBERTA),
    "modernbert": _Family("head.dense", "classifier", "norm", None),
}
"""`model_type` → how a head is put into its classifier."""


def stock_classifier(network: MultiHeadNetwork, head: str, card: HeadCard) -> Any:
    """A sequence classifier of transformers that answers as the head does, in evaluation mode.

    Raises:
        NotStock: there is none for the encoder or its pooling, or the head has too many labels for it.
    """
    from transformers import AutoModelForSequenceClassification

    encoder: Any = network.encoder
    family = _family(network, head, card)
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    config.id2label = dict(enumerate(card.labels))
    config.label2id = {label: index for index, label in enumerate(card.labels)}
    match card.kind:
        case "multiclass":
            config.problem_type = "single_label_classification"
        case "multilabel":
            config.problem_type = "multi_label_classification"
        case _:
            assert_never(card.kind)
    pools = family.names is not None and network.pooling != "cls"
    if pools:
        config.num_hidden_layers += 1
    if family.activation == "norm":
        config.classifier_pooling = network.pooling
        config.classifier_bias, config.classifier_activation = True, "linear"
    model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        _copy_encoder(encoder, model)
        logits = _Logits.of(network, head, card)
        if family.names is not None and pools:
            _add_pooling(model, family.names, logits, _query(network, head))
            logits = logits.as_they_are()
        _fill_classifier(model, family, logits)
    return model.eval()


@dataclass(frozen=True, slots=True)
class _Logits:
    """A linear map from states to logits."""

    weight: Tensor
    """(L, D)."""
    bias: Tensor
    """(L,)."""

    @classmethod
    def of(cls, network: MultiHeadNetwork, head: str, card: HeadCard) -> _Logits:
        layer: Any = network.heads[f"head_{head}"]
        return cls(layer.weight / card.temperature, layer.bias / card.temperature)

    def as_they_are(self) -> _Logits:
        """The map where the first L coordinates of a state are the products already."""
        return _Logits(torch.eye(*self.weight.shape), self.bias)

    def balanced(self) -> Tensor:
        """(L + 1, D): products whose sum is 0."""
        return torch.cat([self.weight, -self.weight.sum(0, keepdim=True)])


def _family(network: MultiHeadNetwork, head: str, card: HeadCard) -> _Family:
    config: Any = network.encoder.config
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise NotStock(
            f"head {head!r}: seen an encoder of the kind {config.model_type!r}; heads on encoders of the "
            f"kinds {', '.join(FAMILIES)} can be exported"
        )
    if network.pooling == "attention" and family.names in (None, _DEBERTA):
        raise NotStock(
            f"head {head!r}: attention pooling on {config.model_type} has no counterpart in transformers; "
            "train with `train.pooling: mean` or `cls`"
        )
    acts = {"gelu": getattr(config, "pooler_hidden_act", "gelu")}.get(family.activation, family.activation)
    if acts != family.activation:
        raise NotStock(f"head {head!r}: seen a classifier with the activation {acts!r}, expected gelu")
    most = int(config.hidden_size) // 2 - 1
    if len(card.labels) > most:
        raise NotStock(
            f"head {head!r}: seen {len(card.labels)} labels, and a classifier on {config.hidden_size} "
            f"figures a text has room for {most}; choose a larger encoder"
        )
    return family


def _copy_encoder(encoder: Any, model: Any) -> None:
    """Put the encoder's weights into the classifier's; what it has beyond them becomes 0."""
    kept = encoder.state_dict()
    for name, weight in model.base_model.state_dict().items():
        if name in kept:
            weight.copy_(kept[name])
        elif weight.is_floating_point():
            weight.zero_()


def _query(network: MultiHeadNetwork, head: str) -> Tensor | None:
    """(D,) what each token's state is multiplied by for its share; None: all have the same share."""
    if network.attention is None:
        return None
    return network.attention.weight[network.head_names.index(head)]


def _add_pooling(model: Any, names: _Names, logits: _Logits, query: Tensor | None) -> None:
    """Fill the last layer, whose weights are 0: its first L coordinates become the pooled products."""
    config = model.config
    layer = model.base_model.get_submodule(names.layers)[-1]
    balanced = logits.balanced()
    used, hidden = balanced.shape
    constant, spread = _constant(used, hidden)
    if query is not None:
        width = hidden // config.num_attention_heads
        layer.get_submodule(names.key).weight[::width] = query * width**0.5
        layer.get_submodule(names.query).bias[::width] = 1.0
    layer.get_submodule(names.value).weight[:used] = balanced
    out, outer = layer.get_submodule(names.out), layer.get_submodule(names.outer)
    out.weight.diagonal()[:used] = ALONE
    out.bias.copy_(constant * (R * ALONE / spread))
    outer.bias.copy_(constant * (R / spread))
    for name in (names.norm, names.last_norm):
        norm = layer.get_submodule(name)
        norm.weight.zero_()
        norm.bias.zero_()
        norm.weight[:used] = R


def _constant(used: int, hidden: int) -> tuple[Tensor, float]:
    """(D,) with mean 0 that is 0 in the first `used` coordinates, and its spread."""
    constant = torch.zeros(hidden)
    count = (hidden - used) // 2 * 2
    constant[used : used + count : 2], constant[used + 1 : used + count : 2] = 1.0, -1.0
    return constant, (count / hidden) ** 0.5


def _fill_classifier(model: Any, family: _Family, logits: _Logits) -> None:
    dense: nn.Linear = model.get_submodule(family.dense)
    classifier: nn.Linear = model.get_submodule(family.classifier)
    for layer in (dense, classifier):
        layer.weight.zero_()
        layer.bias.zero_()
    classifier.bias.copy_(logits.bias)
    labels, hidden = logits.weight.shape
    there = torch.eye(labels)
    match family.activation:
        case "tanh":
            dense.weight[:labels] = SMALL * logits.weight
            classifier.weight[:, :labels] = there / SMALL
        case "relu" | "gelu":
            dense.weight[: 2 * labels] = torch.cat([logits.weight, -logits.weight])
            classifier.weight[:, : 2 * labels] = torch.cat([there, -there], 1)
        case "norm":
            balanced = logits.balanced()
            constant, spread = _constant(len(balanced), hidden)
            dense.weight[: len(balanced)] = balanced
            dense.bias.copy_(constant * (R / spread))
            norm = model.get_submodule(family.dense.replace("dense", "norm"))
            norm.weight.fill_(0.0)
            norm.weight[:labels] = R
            classifier.weight[:, :labels] = there
        case _:
            raise AssertionError(family.activation)
