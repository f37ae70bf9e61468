"""Which words the texts use, as hashes: the data of the next run is compared with them.

A word is a run of letters (with their marks and digits) in lower case; in scripts that put no space
between words each letter is one. Numbers are no words. Words are kept as hashes, so that a bundle shows no
word of a user's text; whoever guesses a word can still test whether it is there.

The commonest `KEPT_WORDS` of the training texts are the vocabulary. Validation and test texts hold words
outside of it: their share (`unseen`) is what a later comparison starts from.

Does not know what the champion's vocabulary was, nor what is too much change.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from model.spec import SPLITS

MOST_TEXTS = 100_000
"""Texts of a split whose words are counted: those with the smallest ids, which are hashes, so that they
are a random sample that does not depend on the order of rows."""
KEPT_WORDS = 20_000
"""Most words in a vocabulary: the commonest. 20,000 hashes of 32 bits are 80 kB."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = rf"[{_UNSPACED}]|[\p{{L}}--[{_UNSPACED}]][[\p{{L}}\p{{M}}\p{{Nd}}]--[{_UNSPACED}]]*"
"""A word (Rust regular expression)."""


def count_words(dataset: pl.DataFrame) -> pl.DataFrame:
    """How often each word occurs: `split`, `word` (uint32, its hash), `tokens` (uint32), sorted.

    Args:
        dataset: `text_id`, `text`, `split`, one row a text.
    """
    parts = []
    for split in SPLITS:
        texts = dataset.select("split", "text_id", "text").filter(pl.col("split") == split)
        if texts.height > MOST_TEXTS:
            texts = texts.bottom_k(MOST_TEXTS, by="text_id")
        words = (
            texts.lazy()
            .select(pl.col("text").str.to_lowercase().str.extract_all(WORD).alias("word"))
            .explode("word")
            .drop_nulls()
            .group_by("word")
            .agg(pl.len().alias("tokens"))
            .collect()
        )
        hashed = pl.Series("word", hash_words(words["word"]), dtype=pl.UInt32)
        # Two words may share a hash: they then count as one.
        counted = words.with_columns(hashed).group_by("word").agg(pl.col("tokens").sum().cast(pl.UInt32))
        parts.append(counted.select(pl.lit(split).alias("split"), "word", "tokens").sort("word"))
    return pl.concat(parts)


def hash_words(words: Iterable[str]) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """First 32 bits (big-endian) of each word's BLAKE2b, which no version of a library changes. With 20,000
    known words, one in 200,000 unknown ones is taken for known."""
    digests = b"".join(
        hashlib.blake2b(word.encode("utf-8"), digest_size=4, usedforsecurity=False).digest() for word in words
    )
    return np.frombuffer(digests, dtype=">u4").astype(np.uint32)


def profile_vocabulary(counts: pl.DataFrame, rows: Mapping[str, int]) -> dict[str, Any]:
    """The vocabulary of the training texts, for the profile.

    - `words`: base64 of the sorted hashes (little-endian uint32) of the commonest words of the training
      texts; of equally common ones those with the smaller hash.
    - `texts`: split → texts whose words were counted.
    - `tokens`: split → words counted, repetitions too.
    - `unseen`: split → share of its tokens that are not in the vocabulary; None without tokens.

    Args:
        counts: as from `count_words`.
        rows: split → texts in all.
    """
    train = counts.filter(pl.col("split") == "train")
    kept = train.sort(["tokens", "word"], descending=[True, False]).head(KEPT_WORDS)["word"].sort()
    tokens: dict[str, int] = {}
    unseen: dict[str, float | None] = {}
    for split in SPLITS:
        part = counts.filter(pl.col("split") == split)
        tokens[split] = int(part["tokens"].sum())
        unknown = int(part.filter(~pl.col("word").is_in(kept.implode()))["tokens"].sum())
        unseen[split] = unknown / tokens[split] if tokens[split] else None
    return {
        "words": base64.b64encode(kept.to_numpy().astype("<u4").tobytes()).decode("ascii"),
        "texts": {split: min(rows[split], MOST_TEXTS) for split in SPLITS},
        "tokens": tokens,
        "unseen": unseen,
    }
