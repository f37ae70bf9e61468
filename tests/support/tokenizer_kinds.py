"""Small tokenizers of the kinds that encoders come with.

All keep accents: a text has other tokens in NFD than in NFC, and none of them is unknown.
"""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

LETTERS = sorted(
    {
        *string.printable.strip(),
        *unicodedata.normalize("NFC", "éàçñöüåÅđặệ가한が龍今日😀👍ΩЖשمनส"),
        *unicodedata.normalize("NFD", "éàçñöüåÅđặệ가한が"),
        *"\u0301\u0327\u200d\ufeff",
    }
)
WORDS = ["sun", "rain", "tea", "cat", "fox", "café", "cafe\u0301"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def wordpiece() -> Tokenizer:
    """Like cased BERT."""
    vocabulary = {token: at for at, token in enumerate(BERT + LETTERS + [f"##{c}" for c in LETTERS] + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _with_special_tokens(tokenizer, BERT)


def wordlevel() -> Tokenizer:
    """Whole words between white space: `[SEP]` is a word of its vocabulary."""
    vocabulary = {token: at for at, token in enumerate(BERT + LETTERS + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _with_special_tokens(tokenizer, BERT)


def byte_bpe() -> Tokenizer:
    """Like RoBERTa: nothing is unknown to it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=ROBERTA, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.add_tokens(["sunrain"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    start, end = (("<s>", 0), ("</s>", 2))
    tokenizer.post_processor = processors.RobertaProcessing(
        end, start, trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def unigram() -> Tokenizer:
    """Like XLM-R, but that it keeps accents: `</s>` is a piece of its vocabulary, and the likeliest."""
    pieces = [(token, 0.0) for token in ROBERTA[:4]] + [(c, -6.0) for c in ["▁", *LETTERS]]
    pieces += [(f"▁{word}", -3.0) for word in WORDS]
    tokenizer = Tokenizer(models.Unigram(pieces, 3, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _with_special_tokens(tokenizer, ROBERTA)


def _with_special_tokens(tokenizer: Tokenizer, tokens: list[str]) -> Tokenizer:
    tokenizer.add_special_tokens([AddedToken(t, lstrip=t == tokens[-1], special=True) for t in tokens])
    tokenizer.add_tokens(["sunrain"])
    start, end = (tokens[2], tokens[3]) if tokens is BERT else (tokens[0], tokens[2])
    special = [(token, tokenizer.token_to_id(token)) for token in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=special
    )
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "wordpiece": wordpiece,
    "wordlevel": wordlevel,
    "byte_bpe": byte_bpe,
    "unigram": unigram,
}


def write_tokenizer(kind: str, folder: Path) -> Path:
    """`tokenizer.json` and `tokenizer_config.json` in `folder`, as an encoder comes with them: cutting and
    padding are as somebody set them who saved it, from the left."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = KINDS[kind]()
    tokenizer.enable_truncation(7, direction="left")
    tokenizer.enable_padding(direction="left", pad_id=1, pad_token="<pad>")
    tokenizer.save(str(folder / "tokenizer.json"))
    names = BERT if kind.startswith("word") else ROBERTA
    pad, unknown = (names[0], names[1]) if names is BERT else (names[1], names[3])
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": pad, "unk_token": unknown}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder
