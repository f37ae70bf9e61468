"""One forward pass, independent heads, and a network rebuilt from its description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from model.rows import open_rows
from model.spec import BackboneSpec, HeadSpec, TrainSpec
from model.train.backbone import load_encoder, resolve
from model.train.losses import head_loss, head_scale
from model.train.network import MultiHeadNetwork, describe_network, rebuild_network

HEADS = {
    "type": HeadSpec(kind="multiclass", labels=("a", "b", "c")),  # named like a method of nn.Module
    "many": HeadSpec(kind="multilabel", labels=("x", "y")),
}


def _network(folder: Path, pooling: str) -> MultiHeadNetwork:
    torch.manual_seed(0)
    encoder = load_encoder(resolve(BackboneSpec(name=str(folder))), attn_implementation="eager")
    sizes = {name: len(head.labels) for name, head in HEADS.items()}
    return MultiHeadNetwork(encoder, sizes, pooling=pooling, dropout=0.0).eval()  # type: ignore[arg-type]


IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]])
MASK = (IDS != 0).long()
UNBALANCED = TrainSpec(balance_losses=False, mixing_exponent=0.5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_padding_does_not_change_the_answers(tiny_backbone: Path, pooling: str) -> None:
    network = _network(tiny_backbone, pooling)
    with torch.no_grad():
        padded = network(IDS, MASK)
        alone = network(IDS[1:, :3], MASK[1:, :3])
    assert {name: tuple(x.shape) for name, x in padded.items()} == {"type": (2, 3), "many": (2, 2)}
    for name in HEADS:
        torch.testing.assert_close(padded[name][1:], alone[name], atol=1e-5, rtol=1e-5)


def test_attention_pooling_begins_as_the_mean(tiny_backbone: Path) -> None:
    with torch.no_grad():
        mean, attention = (_network(tiny_backbone, p)(IDS, MASK) for p in ("mean", "attention"))
    torch.testing.assert_close(mean, attention)


def test_unlabelled_targets_never_change_another_heads_gradient(tiny_backbone: Path) -> None:
    def gradients(targets_of_type: list[int]) -> dict[str, torch.Tensor]:
        network = _network(tiny_backbone, "attention")
        logits = network(IDS, MASK)
        targets = {"type": torch.tensor(targets_of_type), "many": torch.tensor([[1, 0], [0, -1]])}
        total = torch.zeros(())
        for name, head in HEADS.items():
            # The scale comes from all training rows, of which these are a batch.
            seen = targets["many"] if name == "many" else torch.tensor([0, 1])
            scale = head_scale(head, seen.numpy(), torch.ones(2).numpy(), UNBALANCED, batches=1)
            total = total + head_loss(scale, logits[name], targets[name], torch.ones(2))
        torch.autograd.backward(total)
        return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}

    labelled, unlabelled = gradients([0, 2]), gradients([-1, -1])
    assert not unlabelled["heads.head_type.weight"].any()
    for name in ("heads.head_many.weight", "heads.head_many.bias"):
        torch.testing.assert_close(labelled[name], unlabelled[name], atol=0, rtol=0)

    def encoder_gradient_of_many_alone() -> dict[str, torch.Tensor]:
        network = _network(tiny_backbone, "attention")
        logits = network(IDS, MASK)["many"]
        targets = torch.tensor([[1, 0], [0, -1]])
        scale = head_scale(HEADS["many"], targets.numpy(), torch.ones(2).numpy(), UNBALANCED, batches=1)
        torch.autograd.backward(head_loss(scale, logits, targets, torch.ones(2)))
        return {n: p.grad for n, p in network.encoder.named_parameters() if p.grad is not None}

    for name, gradient in encoder_gradient_of_many_alone().items():
        torch.testing.assert_close(unlabelled[f"encoder.{name}"], gradient, atol=1e-7, rtol=1e-5)


def test_a_head_starts_at_the_labels_frequencies(tiny_backbone: Path) -> None:
    network = _network(tiny_backbone, "mean")
    for layer in network.heads.values():
        torch.nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
    network.start_at_frequencies("type", "multiclass", torch.tensor([0.5, 0.3, 0.2]))
    network.start_at_frequencies("many", "multilabel", torch.tensor([0.1, 0.0]))
    with torch.no_grad():
        answers = network(IDS, MASK)
    torch.testing.assert_close(answers["type"].softmax(1)[0], torch.tensor([0.5, 0.3, 0.2]))
    torch.testing.assert_close(answers["many"].sigmoid()[0], torch.tensor([0.1, 1e-4]))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_network_is_rebuilt_from_json(tiny_backbone: Path, attention: str) -> None:
    network = _network(tiny_backbone, "attention")
    described = describe_network(network, HEADS, max_length=32, pad_token_id=0, backbone={"name": "tiny"})
    again = rebuild_network(json.loads(json.dumps(described)), attn_implementation=attention)
    again.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(IDS, MASK), network(IDS, MASK), atol=1e-5, rtol=1e-5)


def test_rows_and_network_agree_on_heads(tiny_rows: Path) -> None:
    assert list(open_rows(tiny_rows).heads) == ["topic", "names"]
