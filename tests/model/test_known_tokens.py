"""How many tokens of a text an encoder does not know, by kind of tokenizer; counts by head and source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from model.jobs.prepare import measure_tokens
from model.measure.known_tokens import count_tokens, unknown_token_id
from model.spec import SPLITS, BackboneSpec, TrainSpec
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_rows import write_rows

BYTES = pre_tokenizers.ByteLevel.alphabet()


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "sun": 1, "##s": 2, "a": 3}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def byte_level() -> Tokenizer:
    """As RoBERTa's: its vocabulary holds an unknown token, which no text ever becomes."""
    vocabulary = {"<unk>": 0} | {char: at for at, char in enumerate(sorted(BYTES), 1)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def unigram(byte_fallback: bool = False) -> Tokenizer:
    pieces = [("<unk>", 0.0), ("▁sun", -1.0), ("s", -2.0), ("▁", -3.0)]
    if byte_fallback:
        pieces += [(f"<0x{byte:02X}>", -5.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=byte_fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "text", "own", "unknown"),
    [
        (word_piece(), "suns sun", 3, 0),
        (word_piece(), "suns 해 눈", 4, 2),
        (word_piece(), "\u0301\u0301", 1, 1),  # accents alone are stripped: nothing is left
        (byte_level(), "해", 3, 0),
        (unigram(), "suns", 2, 0),
        (unigram(), "sun 해", 3, 1),
        (unigram(byte_fallback=True), "sun 해", 5, 0),
    ],
)
def test_unknown_tokens_of_a_text(tokenizer: Tokenizer, text: str, own: int, unknown: int) -> None:
    counted = count_tokens(tokenizer, [tokenizer.encode(text).ids])
    assert (counted.own.tolist(), counted.unknown.tolist()) == ([own], [unknown])


def test_encoders_of_bytes_know_every_word() -> None:
    assert unknown_token_id(byte_level()) is None
    assert unknown_token_id(unigram(byte_fallback=True)) is None
    assert (unknown_token_id(word_piece()), unknown_token_id(unigram())) == (0, 0)


def test_tokens_that_every_text_gets_do_not_count_as_its_own() -> None:
    tokenizer = word_piece()
    tokenizer.post_processor = processors.TemplateProcessing(single="a $A a", special_tokens=[("a", 3)])
    counted = count_tokens(tokenizer, [tokenizer.encode(text).ids for text in ("눈", "sun 눈", "\u0301")])
    assert counted.lengths.tolist() == [3, 4, 2]
    assert (counted.own.tolist(), counted.unknown.tolist()) == ([1, 2, 1], [1, 1, 1])
    assert counted.figures(3) == {"rows": 3, "truncated": 1, "tokens": 4, "unknown": 3, "unread": 2}
    only_second = counted.figures(3, np.array([False, True, False]))
    assert only_second == {"rows": 1, "truncated": 1, "tokens": 2, "unknown": 1, "unread": 0}


def test_counts_of_a_split_its_heads_and_its_sources(tmp_path: Path) -> None:
    encoder = make_tiny_backbone(tmp_path / "encoder")
    heads = {"topic": {"kind": "multiclass", "labels": ["a", "b"]}}
    texts = [{"text": "sun rain", "topic": "a"}, {"text": "눈 sun"}, {"text": "눈 눈 눈", "topic": "b"}]
    rows = write_rows(tmp_path / "rows", heads, {split: texts for split in SPLITS})
    masks = {"letters": dict.fromkeys(SPLITS, np.array([True, False, True]))}
    _, found = measure_tokens(BackboneSpec(name=str(encoder)), TrainSpec(max_length=8), rows, masks)
    assert found["unknown_token"] is True
    for split in SPLITS:
        whole = {name: found["splits"][split][name] for name in ("rows", "tokens", "unknown", "unread")}
        assert whole == {"rows": 3, "tokens": 7, "unknown": 4, "unread": 1}
        of_head = {"rows": 2, "truncated": 0, "tokens": 5, "unknown": 3, "unread": 1}
        assert found["heads"]["topic"][split] == of_head
        assert found["sources"]["letters"][split] == of_head
    json.dumps(found)  # it travels in the profile
