"""A bundle as models that transformers loads by itself, one folder a head, without code of this project.

    FOLDER/HEAD/config.json, model.safetensors   a sequence classifier (`model.export.hub.stock`), float32
    FOLDER/HEAD/tokenizer.json, …                the bundle's tokenizer, which prepares texts as that does
    FOLDER/HEAD/README.md                        the model card (`model.export.hub.model_card`)

The weights are those of the bundle's graph, so that what was judged is what is exported. Every folder is
loaded again and asked the bundle's golden texts before it appears. Axes: B texts, L labels.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers

from ...bundle.card import Card, HeadCard, card_from_json
from ...bundle.files import CARD, GOLDEN, MODEL, TOKENIZER, parse_golden
from ...bundle.texts import TextPreparation
from ...bundle.tokens import TokenReader, load_tokenizer, unknown_id
from ...errors import BadInput
from ...files import file_sha256, read_json, replacing_folder, unfinished_prefix, write_bytes, write_json
from ...train.network import MultiHeadNetwork, rebuild_network
from ..graph import ExportError
from .model_card import About, model_card
from .read_back import read_back
from .stock import stock_classifier

TEXTS_AT_ONCE = 8
"""Golden texts in a batch, so that padding is tried too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedHead:
    """One head as a folder."""

    head: str
    folder: Path
    difference: float
    """Largest difference of a probability to the bundle's golden answers."""


def export_bundle(bundle: Path, out: Path, about: About) -> list[ExportedHead]:
    """Write a folder a head below `out`, all of them or none.

    Args:
        bundle: a verified bundle folder.
        out: replaced if it exists.
        about: what the cards say beside what the bundle knows.

    Raises:
        model.export.hub.stock.NotStock: a head has no counterpart in transformers.
        BadInput: the bundle does not say how its network is built.
        ExportError: a weight can't be read from the graph, or a folder answers otherwise than the bundle.
    """
    card = _card(bundle)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=unfinished_prefix(out.name), dir=out.parent) as scratch:
        network = _network(bundle, card, Path(scratch))
    golden = read_json(bundle / GOLDEN)
    texts, expected, tolerance = parse_golden(golden, bundle / GOLDEN, card)
    differences = {}
    with replacing_folder(out) as made:
        for name, head in card.heads.items():
            folder = made / name
            _write_model(network, name, card, folder)
            _write_tokenizer(bundle, card, folder)
            alike = _read_alike(bundle, card, folder, texts)
            seen = _answers(folder, head, [texts[at] for at in alike])
            differences[name] = float(np.abs(seen - expected[name][alike]).max())
            if not differences[name] <= tolerance:
                raise ExportError(
                    f"head {name!r}: a golden text is answered otherwise than by the bundle, by "
                    f"{differences[name]:.2g} of a probability, expected at most {tolerance:g}; nothing "
                    "was exported"
                )
            text = model_card(name, card, about, file_sha256(bundle / "manifest.json"), differences[name])
            write_bytes(folder / "README.md", text.encode())
    return [ExportedHead(head=name, folder=out / name, difference=by) for name, by in differences.items()]


def _card(bundle: Path) -> Card:
    return card_from_json(read_json(bundle / CARD), where=str(bundle / CARD))


def _network(bundle: Path, card: Card, scratch: Path) -> MultiHeadNetwork:
    """The bundle's network with the weights of its graph."""
    described = card.provenance.get("network")
    if not isinstance(described, dict):
        raise BadInput(
            f"{bundle / CARD}: it does not say how the network is built, because an older Headgate packaged "
            "it; run `headgate retrain CONFIG --force` and export the new version"
        )
    description = {**described, "heads": {name: {"labels": head.labels} for name, head in card.heads.items()}}
    network = rebuild_network(description, attn_implementation="eager").eval()
    labels = {name: head.labels for name, head in card.heads.items()}
    fused = bool(card.provenance.get("graph_fused", True))
    read_back(onnx.load(bundle / MODEL), network, labels, fused=fused, scratch=scratch)
    return network


def _write_model(network: MultiHeadNetwork, name: str, card: Card, folder: Path) -> None:
    head = card.heads[name]
    model = stock_classifier(network, name, head)
    if head.thresholds is not None:
        model.config.thresholds = dict(zip(head.labels, head.thresholds, strict=True))
    model.save_pretrained(folder)


def _write_tokenizer(bundle: Path, card: Card, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    raw = json.loads((bundle / TOKENIZER).read_bytes())
    padding = raw["padding"]
    tokenizer = _preparing(Tokenizer.from_str(json.dumps(raw)), card.text_preparation)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unknown = unknown_id(tokenizer)
    written = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=card.max_length,
        pad_token=padding["pad_token"],
        unk_token=None if unknown is None else tokenizer.id_to_token(unknown),
        padding_side="right",
        truncation_side="right",
        model_input_names=["input_ids", "attention_mask"],
        # What looks like a special token is text.
        split_special_tokens=card.text_preparation != "as_given",
    )
    written.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    # The name that every version of transformers knows.
    write_json(config, read_json(config) | {"tokenizer_class": "PreTrainedTokenizerFast"})


def _preparing(tokenizer: Tokenizer, preparation: TextPreparation) -> Tokenizer:
    """A tokenizer that prepares texts itself, as `model.bundle.texts.prepared` does."""
    match preparation:
        case "as_given":
            return tokenizer
        case "nfc":
            steps = [normalizers.Strip(), normalizers.NFC()]
            steps += [normalizers.Replace("\r\n", "\n"), normalizers.Replace("\r", "\n")]
            before = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
            tokenizer.normalizer = normalizers.Sequence([*steps, *before])
            return tokenizer
        case _:
            assert_never(preparation)


def _read_alike(bundle: Path, card: Card, folder: Path, texts: Sequence[str]) -> list[int]:
    """Which texts the folder's tokenizer reads as the bundle's. Others hold a special token spelt out, which
    the bundle reads as unknown, and transformers can't where the token is a piece of the vocabulary.

    Raises:
        ExportError: another text is read otherwise.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    raw = (bundle / TOKENIZER).read_bytes()
    reader = TokenReader(
        load_tokenizer(raw, card.max_length, bundle / TOKENIZER), card.max_length, card.text_preparation
    )
    seen = tokenizer(list(texts), truncation=True)["input_ids"]
    spelt = [token.content for token in Tokenizer.from_buffer(raw).get_added_tokens_decoder().values()]
    alike = [at for at, ids in enumerate(reader.ids(texts)) if ids == seen[at]]
    for at in sorted(set(range(len(texts))) - set(alike)):
        if not any(token in texts[at] for token in spelt):
            raise ExportError(
                f"golden text {at} is read as other tokens than by the bundle; this tokenizer can't be "
                "exported. Nothing was"
            )
    return alike


def _answers(folder: Path, head: HeadCard, texts: Sequence[str]) -> NDArray[Any]:
    """Probabilities (B, L) of a folder, loaded as anybody would."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    found = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        batch = list(texts[start : start + TEXTS_AT_ONCE])
        given = tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**given).logits
        match head.kind:
            case "multiclass":
                found.append(logits.softmax(-1).numpy())
            case "multilabel":
                found.append(logits.sigmoid().numpy())
            case _:
                assert_never(head.kind)
    return np.concatenate(found)
