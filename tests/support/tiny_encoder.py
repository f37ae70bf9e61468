"""A BERT of two layers with random weights and a vocabulary of a few words: trains in a second.

Imports torch and transformers when it is made, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.support.tokenizer_kinds import write_tokenizer

WORDS = ["sun", "rain", "wind", "snow", "tea", "milk", "bread", "soup", "cat", "dog", "hen", "fox"]


def make_tiny_backbone(
    folder: Path,
    *,
    layers: int = 2,
    tokenizer: str | None = None,
    words: Sequence[str] = WORDS,
    keeps_accents: bool = False,
) -> Path:
    """Write the encoder into `folder`, as `BackboneSpec.name` takes it, and return the folder.

    Args:
        tokenizer: one of `tests.support.tokenizer_kinds`, instead of the few words.
        words: what it knows; every other word is unknown to it.
        keeps_accents: `é` is another letter than `e`; else accents are taken off before words are looked up.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    size = _write_words(folder, words, keeps_accents) if tokenizer is None else _write_kind(tokenizer, folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0 if tokenizer is None or tokenizer.startswith("word") else 1,
    )
    config.save_pretrained(folder)
    model = BertModel(config, add_pooling_layer=False)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _write_kind(kind: str, folder: Path) -> int:
    write_tokenizer(kind, folder)
    return int(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size())


def _write_words(folder: Path, words: Sequence[str], keeps_accents: bool) -> int:
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, "##s"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=not keeps_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(vocabulary)
