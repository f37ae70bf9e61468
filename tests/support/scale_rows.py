"""Three synthetic sources (CSV, JSONL, Parquet) of any size, made by the column.

Some texts are in two sources, some twice with different labels, some in two splits, some are blank, as in
real exports.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from model.spec import HeadSpec
from sources.spec import SourceSpec, SplitSpec, TargetSpec

TOPICS = tuple(f"topic_{number:02}" for number in range(12))
TAGS = tuple(f"tag_{number:02}" for number in range(10))
FLAGS = tuple(f"flag_{number}" for number in range(5))

SHARES = {"mails": 0.4, "chats": 0.3, "votes": 0.3}
"""Source → share of all rows."""
SHARED_TEXTS = 0.05
"""Share of the texts of `chats` and `votes` that `mails` holds too."""
TWICE = 0.01
"""Share of `mails` that repeats another mail; its topic is drawn again, see `OTHER_TOPIC`."""
OTHER_TOPIC = 0.05
"""Share of rows with another topic than the text's own, so that some repeated texts are in conflict."""
OTHER_SPLIT = 0.02
"""Share of rows that name another split than the text's own."""
BLANK = 0.001
UNANSWERED = 0.05
"""Share of `votes` whose flags nobody answered."""

_WORDS = 3000
_PHRASES = 50_000

Array = npt.NDArray[np.int64]


def heads() -> dict[str, HeadSpec]:
    """The heads of the load, labels listed."""
    return {
        "topic": HeadSpec(kind="multiclass", labels=TOPICS),
        "tags": HeadSpec(kind="multilabel", labels=TAGS),
        "flags": HeadSpec(kind="multilabel", labels=FLAGS),
    }


def sources() -> dict[str, SourceSpec]:
    """The three sources, as a configuration would declare them."""
    return {
        "mails": SourceSpec(path="mails.csv", split_column="split", heads={"topic": "topic"}),
        "chats": SourceSpec(path="chats.jsonl", split_column="split", heads={"tags": "tags"}),
        "votes": SourceSpec(
            path="votes.parquet",
            split_column="split",
            heads={"topic": "topic", "flags": TargetSpec(columns=FLAGS)},
        ),
    }


def split_spec(near_duplicates: Literal["off", "report"] = "off") -> SplitSpec:
    """Splits are given; the plain script does not look for near-duplicates, so beside it they are off."""
    return SplitSpec(near_duplicates=near_duplicates)


def write_load(folder: Path, rows: int, seed: int = 17) -> None:
    """Write `mails.csv`, `chats.jsonl` and `votes.parquet` with so many rows in all."""
    rng = np.random.default_rng(seed)
    phrases = _phrases(rng)
    counts = {name: round(rows * share) for name, share in SHARES.items()}
    mails = _texts(rng, phrases, counts["mails"])
    repeated = _choose(rng, counts["mails"], TWICE)
    mails = _replaced(mails, repeated, mails.gather(rng.integers(0, counts["mails"], repeated.size)))
    frames = {}
    for name, count in counts.items():
        texts = mails if name == "mails" else _texts(rng, phrases, count)
        if name != "mails":
            shared = _choose(rng, count, SHARED_TEXTS)
            texts = _replaced(texts, shared, mails.gather(rng.integers(0, mails.len(), shared.size)))
        texts = _replaced(texts, _choose(rng, count, BLANK), pl.Series(["  "]))
        frames[name] = pl.DataFrame({"text": texts, "split": _splits(rng, texts)})
    labelled = {
        "mails": frames["mails"].with_columns(topic=_topics(rng, frames["mails"]["text"])),
        "chats": frames["chats"].with_columns(tags=_tags(rng, counts["chats"])),
        "votes": frames["votes"].with_columns(
            _flags(rng, counts["votes"]), topic=_topics(rng, frames["votes"]["text"])
        ),
    }
    labelled["mails"].write_csv(folder / "mails.csv")
    labelled["chats"].write_ndjson(folder / "chats.jsonl")
    labelled["votes"].write_parquet(folder / "votes.parquet")


def _phrases(rng: np.random.Generator) -> pl.Series:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzéüß"))
    words = [
        "".join(letters[rng.integers(0, letters.size, length)]) for length in rng.integers(2, 10, _WORDS)
    ]
    of_words = rng.integers(0, _WORDS, (_PHRASES, 4))
    return pl.Series([" ".join(words[word] for word in phrase) for phrase in of_words])


def _texts(rng: np.random.Generator, phrases: pl.Series, count: int) -> pl.Series:
    """Texts of three phrases and a number: about 14 words, hardly ever twice."""
    parts = [phrases.gather(rng.integers(0, _PHRASES, count)) for _ in range(3)]
    number = pl.Series(rng.integers(0, 1000, count)).cast(pl.String)
    return pl.select(pl.concat_str([*parts, number], separator=" ")).to_series()


def _choose(rng: np.random.Generator, count: int, share: float) -> Array:
    return np.flatnonzero(rng.random(count) < share)


def _replaced(texts: pl.Series, places: Array, new: pl.Series) -> pl.Series:
    values = new if new.len() == places.size else pl.Series([new[0]] * int(places.size), dtype=pl.String)
    return texts.scatter(places, values) if places.size else texts


def _splits(rng: np.random.Generator, texts: pl.Series) -> pl.Series:
    """A split that follows from the text, but for a few rows."""
    usual = (texts.str.len_bytes().to_numpy().astype(np.int64) * 7919 + 13) % 10
    other = rng.random(texts.len()) < OTHER_SPLIT
    code = np.where(other, rng.integers(0, 10, texts.len()), usual)
    return pl.Series(np.array(["train"] * 7 + ["validation"] + ["test"] * 2)[code])


def _topics(rng: np.random.Generator, texts: pl.Series) -> pl.Series:
    """A topic that follows from the text, but for a few rows."""
    usual = texts.str.len_bytes().to_numpy().astype(np.int64) % len(TOPICS)
    wrong = rng.random(texts.len()) < OTHER_TOPIC
    return pl.Series(np.array(TOPICS)[np.where(wrong, rng.integers(0, len(TOPICS), texts.len()), usual)])


def _tags(rng: np.random.Generator, count: int) -> pl.Series:
    bits = rng.random((count, len(TAGS))) < 0.15
    names = np.array(TAGS)
    # Only so many combinations exist: each is made once, then looked up.
    key = bits @ (1 << np.arange(len(TAGS)))
    of_code = (np.arange(1 << len(TAGS))[:, None] >> np.arange(len(TAGS))) & 1 == 1
    known = [list(names[chosen]) for chosen in of_code]
    return pl.Series(known, dtype=pl.List(pl.String)).gather(key)


def _flags(rng: np.random.Generator, count: int) -> list[pl.Series]:
    silent = rng.random(count) < UNANSWERED
    columns = []
    for flag in FLAGS:
        values = pl.Series(flag, (rng.random(count) < 0.1).astype(np.int8))
        columns.append(pl.select(pl.when(~pl.Series(silent)).then(values).alias(flag)).to_series())
    return columns
