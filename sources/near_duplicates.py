"""Texts that are almost equal to a text of another split: MinHash, banded (LSH), checked exactly.

Texts are compared in lower case with everything but letters and digits as one space, by the Jaccard
similarity of their character 5-grams (Broder 1997, "On the resemblance and containment of documents").
Candidates come from 64 min-hashes in bands (Leskovec, Rajaraman, Ullman, "Mining of massive datasets",
3.4); each is then confirmed on the 5-grams themselves, so a listed pair is never a chance collision,
while at least 98% of the pairs at the threshold become candidates. In a bucket only the first few texts
of the other splits are tried: cost stays linear when thousands of texts are alike.

All texts are hashed at once in numpy: 63,000 texts of 70 characters a second on one core, where
`datasketch.MinHash.bulk` made 19,000 signatures a second, before its index in Python dicts.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from sources.split import CODES

SHINGLE_CHARS = 5
"""Length of the compared pieces, in characters. Shorter texts are one piece."""
HASHES = 64
"""Min-hashes a text."""
ROW_LIMIT = 200_000
"""Most texts that are looked at unless asked: about 5 s on two cores for texts of 70 characters."""
TRIED = 4
"""Texts of other splits tried for each text of a bucket."""
_BATCH_CHARS = 4_000_000
"""Characters hashed at a time: bounds memory."""


def find_near_duplicates(texts: pl.DataFrame, similarity: float, seed: int = 17) -> pl.DataFrame:
    """Texts of an earlier split that are near-duplicates of one of a later split (train < validation <
    test): the ones to remove so that the later split stays as it is.

    Args:
        texts: `text_id`, `text`, `split`.
        similarity: Jaccard similarity from which two texts are near-duplicates.

    Returns:
        `text_id`, `split`, `other_id`, `other_split`, `similarity`: for each such text its most similar
        one (the smallest id of equals), sorted by `text_id`.
    """
    shingles, bounds = _shingles(texts["text"])
    signatures = _signatures(shingles, bounds, seed)
    codes = texts["split"].replace_strict(CODES, return_dtype=pl.Int8).to_numpy()
    pairs = _candidates(signatures, codes, _rows_per_band(similarity))
    empty = np.diff(bounds) == 0
    pairs = pairs[~(empty[pairs[:, 0]] | empty[pairs[:, 1]])]
    jaccard = np.array([_jaccard(shingles, bounds, int(a), int(b)) for a, b in pairs])
    near = jaccard >= similarity
    first, second = pairs[near, 0].astype(np.uint32), pairs[near, 1].astype(np.uint32)
    ids, splits = texts["text_id"], texts["split"]
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


def _shingles(texts: pl.Series) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Distinct hashed 5-grams of all texts one after another, sorted within a text, and where each text
    begins (N + 1 bounds). A text without letters or digits has none."""
    plain = texts.to_frame("t").select(
        pl.col("t").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ")
    )["t"]
    lengths = plain.str.len_chars().to_numpy().astype(np.int64)
    kept: list[npt.NDArray[np.uint64]] = []
    counts = np.zeros(len(lengths), dtype=np.int64)
    for start, stop in _batches(lengths):
        joined = "".join(text + "\0" * (SHINGLE_CHARS - 1) for text in plain[start:stop])
        letters = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        width = lengths[start:stop] + SHINGLE_CHARS - 1
        offsets = np.concatenate([[0], np.cumsum(width)])
        grams = np.zeros(max(len(letters) - SHINGLE_CHARS + 1, 0), dtype=np.uint64)
        for k in range(SHINGLE_CHARS):
            grams = grams * np.uint64(0x100000001B3) + letters[k : k + len(grams)]
        grams = _scramble(grams)
        number = np.where(lengths[start:stop] == 0, 0, np.maximum(lengths[start:stop] - SHINGLE_CHARS + 1, 1))
        owner = np.repeat(np.arange(stop - start), number)
        first = np.repeat(offsets[:-1], number)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
        values = grams[first + within]
        order = np.lexsort((values, owner))
        owner, values = owner[order], values[order]
        new = np.ones(len(values), dtype=bool)
        new[1:] = (values[1:] != values[:-1]) | (owner[1:] != owner[:-1])
        kept.append(values[new])
        counts[start:stop] = np.bincount(owner[new], minlength=stop - start)
    values = np.concatenate(kept) if kept else np.zeros(0, dtype=np.uint64)
    return values, np.concatenate([[0], np.cumsum(counts)])


def _batches(lengths: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    part = np.cumsum(lengths + SHINGLE_CHARS) // _BATCH_CHARS
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(lengths)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def _scramble(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of MurmurHash3 (public domain, A. Appleby): every input bit moves every output bit."""
    z = (z ^ (z >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    z = (z ^ (z >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return z ^ (z >> np.uint64(33))


def _signatures(
    shingles: npt.NDArray[np.uint64], bounds: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.uint64]:
    """Min-hashes, (N, HASHES). Texts without shingles get zeros; callers leave them out."""
    random = np.random.default_rng(seed)
    factors = random.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
    terms = random.integers(0, 2**63, HASHES, dtype=np.uint64)
    signatures = np.zeros((len(bounds) - 1, HASHES), dtype=np.uint64)
    filled = np.flatnonzero(np.diff(bounds) > 0)
    if len(filled) == 0:
        return signatures
    starts = bounds[:-1][filled]
    for k in range(HASHES):
        hashed = shingles * factors[k] + terms[k]
        hashed ^= hashed >> np.uint64(32)
        signatures[filled, k] = np.minimum.reduceat(hashed, starts)
    return signatures


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


def _jaccard(shingles: npt.NDArray[np.uint64], bounds: npt.NDArray[np.int64], a: int, b: int) -> float:
    one, other = shingles[bounds[a] : bounds[a + 1]], shingles[bounds[b] : bounds[b + 1]]
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
