"""Texts that are almost equal to a text of another split: MinHash and LSH by `rensa`, checked exactly.

Texts are compared in lower case with everything but letters and digits as one space, by the Jaccard
similarity of their character 5-grams (Broder 1997, "On the resemblance and containment of documents").
Min-hashes and bands (Leskovec, Rajaraman, Ullman, "Mining of massive datasets", 3.4) find the few texts that
share a band with another one; at least 98% of the pairs at the threshold do. Only these texts are paired, and
each pair is confirmed on the 5-grams themselves, so a listed pair is never a chance collision. Of each bucket
only the first few texts of the other splits are tried, so that cost stays linear when thousands of texts are
alike; the library's own queries have no such limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rensa import RMinHash, RMinHashLSH  # type: ignore[import-untyped]

from sources.merge.split import CODES

SHINGLE_CHARS = 5
"""Length of the compared pieces, in characters. Shorter texts are one piece."""
HASHES = 64
"""Min-hashes a text."""
TRIED = 4
"""Texts of each later split tried for each text of a bucket, those with the smallest ids."""
ROW_LIMIT = 2_000_000
"""Most texts for which `report` looks: about half a minute and 3 GB for texts of 90 characters."""
_BATCH_CHARS = 250_000
"""Characters hashed at a time: few enough for a processor's cache."""
_BASE = 0x100000001B3
"""Prime of the FNV hash, for numbers made of five letters."""

Grams = npt.NDArray[np.uint64]
Bounds = npt.NDArray[np.uint64]


def find_near_duplicates(texts: pl.DataFrame, similarity: float, seed: int = 17) -> pl.DataFrame:
    """Texts of an earlier split that are near-duplicates of one of a later split (train < validation <
    test): the ones to remove so that the later split stays as it is.

    Args:
        texts: `text_id`, `text`, `split`.
        similarity: Jaccard similarity from which two texts are near-duplicates.

    Returns:
        `text_id`, `split`, `other_id`, `other_split`, `similarity`: for each such text its most similar
        one (the smallest id of equals), sorted by `text_id`. The order of `texts` changes nothing.
    """
    texts = texts.sort("text_id")
    plain = _plain(texts["text"])
    rows = _rows_per_band(similarity)
    filled = np.flatnonzero((plain.str.len_chars() > 0).to_numpy())
    shared = filled[_sharing_a_band(plain.gather(filled), similarity, rows, seed)]
    some, plain = texts[shared], plain.gather(shared)
    codes = some["split"].replace_strict(CODES, return_dtype=pl.Int8).to_numpy()
    pairs = _candidates(_signatures(plain, seed), codes, rows)
    jaccard = _jaccard(plain, pairs)
    near = jaccard >= similarity
    first, second = pairs[near, 0].astype(np.uint32), pairs[near, 1].astype(np.uint32)
    ids, splits = some["text_id"], some["split"]
    return (
        pl.DataFrame(
            {
                "text_id": ids.gather(first),
                "split": splits.gather(first),
                "other_id": ids.gather(second),
                "other_split": splits.gather(second),
                "similarity": jaccard[near].astype(np.float64),
            },
            schema_overrides={"similarity": pl.Float64},
        )
        .sort("text_id", -pl.col("similarity"), "other_id")
        .unique(subset="text_id", keep="first", maintain_order=True)
    )


def _plain(texts: pl.Series) -> pl.Series:
    """What is compared of each text."""
    return texts.to_frame("t").select(
        pl.col("t").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ")
    )["t"]


def _grams(plain: pl.Series) -> Iterator[tuple[Grams, Bounds]]:
    """Hashed 5-grams of a batch of texts one after another, and where each text begins (n + 1 bounds)."""
    lengths = plain.str.len_chars().to_numpy().astype(np.int64)
    part = np.cumsum(lengths + SHINGLE_CHARS) // _BATCH_CHARS
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(lengths)]
    for start, stop in pairwise(edges):
        if start == stop:
            continue
        joined = "".join(text + "\0" * (SHINGLE_CHARS - 1) for text in plain[start:stop])
        letters = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        # Letters as digits of a number to the base _BASE, modulo 2^64: pairs, then fours, then fives.
        pairs = letters[:-1] * np.uint64(_BASE)
        pairs += letters[1:]
        grams = pairs[:-3] * np.uint64(_BASE**2 % 2**64)
        grams += pairs[2:-1]
        grams *= np.uint64(_BASE)
        grams += letters[SHINGLE_CHARS - 1 :]
        # Of each text the pieces without padding; a short text is one piece, padded.
        width = lengths[start:stop] + SHINGLE_CHARS - 1
        number = np.maximum(lengths[start:stop] - SHINGLE_CHARS + 1, 1)
        begins = np.cumsum(width) - width
        edge = np.zeros(len(letters) + 1, dtype=np.int8)
        edge[begins] += 1
        edge[begins + number] -= 1
        inside = np.cumsum(edge, dtype=np.int8)[: len(grams)].astype(bool)
        yield _scramble(grams[inside]), np.concatenate([[0], np.cumsum(number)]).astype(np.uint64)


def _scramble(z: Grams) -> Grams:
    """`z` changed in place by the finaliser of MurmurHash3 (public domain, A. Appleby): every input bit
    moves every output bit."""
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xFF51AFD7ED558CCD)
    z ^= z >> np.uint64(33)
    z *= np.uint64(0xC4CEB9FE1A85EC53)
    z ^= z >> np.uint64(33)
    return z


def _sharing_a_band(plain: pl.Series, similarity: float, rows: int, seed: int) -> npt.NDArray[np.bool_]:
    """Whether each text shares a band of min-hashes with another one."""
    index = RMinHashLSH(similarity, HASHES, HASHES // rows)
    hashed, done = [], 0
    for matrix, texts in _min_hashes(plain, seed):
        index.insert_matrix(matrix, done)
        hashed.append(matrix)
        done += texts
    flags = [np.array(index.query_duplicate_flags_matrix(matrix), dtype=bool) for matrix in hashed]
    return np.concatenate([np.zeros(0, dtype=bool), *flags])


def _signatures(plain: pl.Series, seed: int) -> npt.NDArray[np.uint64]:
    """Min-hashes, (N, HASHES)."""
    parts = [np.array(matrix.to_rows(), dtype=np.uint64) for matrix, _ in _min_hashes(plain, seed)]
    return np.concatenate([np.zeros((0, HASHES), dtype=np.uint64), *parts])


def _min_hashes(plain: pl.Series, seed: int) -> Iterator[tuple[Any, int]]:
    """The library's matrix of min-hashes of a batch of texts, and how many texts."""
    for grams, bounds in _grams(plain):
        yield RMinHash.digest_matrix_from_flat_token_hashes(grams, bounds, HASHES, seed), len(bounds) - 1


def _rows_per_band(similarity: float) -> int:
    """Most rows a band for which a pair at the threshold still becomes a candidate in 98% of cases:
    1 - (1 - s^r)^(HASHES/r)."""
    for rows in (16, 8, 4, 2):
        if 1 - (1 - similarity**rows) ** (HASHES // rows) >= 0.98:
            return rows
    return 1


def _candidates(
    signatures: npt.NDArray[np.uint64], codes: npt.NDArray[np.int8], rows: int
) -> npt.NDArray[np.int64]:
    """Pairs (earlier split, later split) that share a band, (P, 2), each once."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, HASHES, rows):
        band = np.zeros(len(signatures), dtype=np.uint64)
        for k in range(start, start + rows):
            band = _scramble(band ^ signatures[:, k])
        buckets = pl.DataFrame({"band": band, "row": np.arange(len(band)), "code": codes})
        buckets = buckets.filter(pl.col("code").n_unique().over("band") > 1)
        later = buckets.filter(pl.col("code") > 0).filter(pl.int_range(pl.len()).over("band", "code") < TRIED)
        pairs = buckets.filter(pl.col("code") < 2).join(later, on="band", suffix="_later")
        pairs = pairs.filter(pl.col("code") < pl.col("code_later"))
        found.append(pairs.select("row", "row_later").to_numpy().astype(np.int64))
    return np.unique(np.concatenate(found), axis=0)


def _jaccard(plain: pl.Series, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Jaccard similarity of the 5-grams of each pair of texts."""
    involved, at = np.unique(pairs, return_inverse=True)
    sets: list[Grams] = []
    for grams, bounds in _grams(plain.gather(involved)):
        sets += [np.unique(part) for part in np.split(grams, bounds[1:-1].astype(np.int64))]
    found = np.zeros(len(pairs))
    for place, (one, other) in enumerate(at.reshape(-1, 2).tolist()):
        common = len(np.intersect1d(sets[one], sets[other], assume_unique=True))
        found[place] = common / (len(sets[one]) + len(sets[other]) - common)
    return found
