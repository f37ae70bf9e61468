"""Near-duplicates across splits: Headgate's search (`rensa`, then exact) beside `datasketch` doing the same.

    python -m benchmarks.near_duplicates [--quick]

Seeded texts of about 90 characters, of which one in fifty is another one with a word added or changed. Both
sides get the same character 5-grams' definition, 64 min-hashes in 8 bands and the threshold 0.9; both confirm
candidates by the exact Jaccard similarity, so that they differ only in time and in what they miss.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import polars as pl

from benchmarks.data_scale_rows import make_texts
from benchmarks.data_scale_side import peak_memory_mib
from sources.merge.identity import text_ids
from sources.merge.near_duplicates import SHINGLE_CHARS, find_near_duplicates
from tests.support.machine import describe_machine
from tests.support.result import Measure, at_least, at_most, report

SIMILARITY = 0.9
HASHES, BANDS = 64, 8
COPIES = 50
"""One in so many texts is a copy with a small change."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.near_duplicates", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="10,000 texts, within a minute")
    options = parser.parse_args(arguments)
    shared, large = (10_000, 20_000) if options.quick else (20_000, 1_000_000)
    machine = describe_machine()
    texts = planted(large)
    before = peak_memory_mib()
    start = time.perf_counter()
    found = find_near_duplicates(texts, SIMILARITY)
    taken = time.perf_counter() - start
    measures = [
        Measure(f"{large:,} texts: Headgate", taken, "s", at_most(60)),
        Measure(f"{large:,} texts: found", found.height, "texts"),
        Measure(
            f"{large:,} texts: peak memory above the texts' own",
            peak_memory_mib() - before,
            "MiB",
            at_most(3072),
        ),
    ]
    texts = planted(shared)
    start = time.perf_counter()
    ours = find_near_duplicates(texts, SIMILARITY)
    ours_s = time.perf_counter() - start
    start = time.perf_counter()
    theirs = with_datasketch(texts)
    theirs_s = time.perf_counter() - start
    mine = set(ours["text_id"])
    measures += [
        Measure(f"{shared:,} texts: Headgate (rensa, exact check)", ours_s, "s"),
        Measure(f"{shared:,} texts: datasketch, exact check", theirs_s, "s"),
        Measure(f"{shared:,} texts: datasketch's time by ours", theirs_s / ours_s, "×", at_least(1)),
        Measure(f"{shared:,} texts: found by Headgate", len(mine), "texts"),
        Measure(f"{shared:,} texts: found by datasketch", len(theirs), "texts"),
        # Each is allowed to miss a pair in fifty at the threshold, so they may differ by a few.
        Measure(
            f"{shared:,} texts: found by one side only", len(mine ^ theirs), "", at_most(0.02 * len(theirs))
        ),
    ]
    return report("near_duplicates", measures, machine)


def planted(rows: int, seed: int = 17) -> pl.DataFrame:
    """`text_id`, `text`, `split`: so many texts, a few of them near-copies of others."""
    rng = np.random.default_rng(seed)
    texts = make_texts(rng, rows)
    copies = rows // COPIES
    copied = [f"{text} again" for text in texts.gather(rng.integers(0, rows - copies, copies))]
    texts = pl.concat([texts.head(rows - copies), pl.Series(copied)]).alias("text")
    splits = np.array(["train", "validation", "test"])[rng.choice(3, rows, p=[0.7, 0.1, 0.2])]
    frame = pl.DataFrame({"text_id": text_ids(texts), "text": texts, "split": splits})
    return frame.unique(subset="text_id", keep="first", maintain_order=True)


def with_datasketch(texts: pl.DataFrame) -> set[str]:
    """Ids of texts of an earlier split that are near-duplicates of one of a later split, by `datasketch`."""
    from datasketch import MinHash, MinHashLSH

    code = {"train": 0, "validation": 1, "test": 2}
    grams = [_grams(text) for text in texts["text"]]
    ids, codes = texts["text_id"].to_list(), [code[split] for split in texts["split"]]
    hashed = MinHash.bulk([[gram.encode() for gram in of] for of in grams], num_perm=HASHES, seed=17)
    index = MinHashLSH(num_perm=HASHES, params=(BANDS, HASHES // BANDS))
    with index.insertion_session() as session:
        for place, one in enumerate(hashed):
            session.insert(place, one)
    found = set()
    for place, one in enumerate(hashed):
        for other in index.query(one):
            if codes[place] < codes[other]:
                common = len(grams[place] & grams[other])
                if common / (len(grams[place]) + len(grams[other]) - common) >= SIMILARITY:
                    found.add(ids[place])
                    break
    return found


def _grams(text: str) -> set[str]:
    """Character 5-grams of a text whose case and punctuation need no folding (these have none)."""
    return {text[at : at + SHINGLE_CHARS] for at in range(max(len(text) - SHINGLE_CHARS + 1, 1))}


if __name__ == "__main__":
    sys.exit(main())
