"""What the values of a column are that are no labels: numbers, dates, addresses, sentences, splits."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import polars as pl

from model.spec import SPLITS, SplitName
from sources.formats.given_split import ALIASES

FLAGS = ("0", "1", "0.0", "1.0", "true", "false", "")
"""What a 0/1 column holds, in lower case."""
SPLIT_COLUMNS = ("split", "dataset", "set", "subset", "fold", "partition", "part", "phase", "usage")
"""Names of columns that give the split, in lower case."""
FURTHER: dict[str, SplitName] = {"holdout": "test", "eval": "validation", "evaluation": "validation"}
"""Names of splits that are guessed."""
MOST_WORDS = 5
"""Words of a label on average; longer values are sentences."""

_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}([ T].*)?")
_NUMBER = re.compile(r"[+-]?\d*\.?\d+(e[+-]?\d+)?", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://\S+|[^@\s]+@[^@\s]+\.[a-z]+", re.IGNORECASE)


def is_flag(cells: pl.Series) -> bool:
    """Whether a column holds nothing but 0 and 1, true and false; one of them at least."""
    values = set(cells.drop_nulls().str.strip_chars().str.to_lowercase().unique().to_list())
    return bool(values - {""}) and values <= set(FLAGS)


def kind_of_values(values: Collection[str]) -> str:
    """What values are that are no labels, in words; empty where they may be labels."""
    some = list(values)[:1000]
    if _share(some, _DATE) > 0.9:
        return "dates"
    if _share(some, _ADDRESS) > 0.9:
        return "addresses"
    numbers = [value for value in some if _NUMBER.fullmatch(value.strip())]
    if len(numbers) > 0.9 * len(some):
        if any(float(value) % 1 for value in numbers):
            return "numbers with fractions"
        if len(some) > 30:
            return "numbers"
    if sum(len(value.split()) for value in some) / len(some) > MOST_WORDS:
        return "texts"
    return ""


def _share(values: Collection[str], pattern: re.Pattern[str]) -> float:
    return sum(bool(pattern.fullmatch(value.strip())) for value in values) / len(values)


def splits_in(column: str, values: Mapping[str, int]) -> dict[str, SplitName] | None:
    """Value → split, for a column that gives the split of each row; None for others.

    Args:
        column: its name, in lower case.
    """
    known: dict[str, SplitName] = {split: split for split in SPLITS}
    known |= {alias: split for alias, split in ALIASES.items() if split != "hash"} | FURTHER
    found: dict[str, SplitName] = {}
    for value in values:
        split = known.get(value.strip().casefold())
        if split is None:
            return None
        found[value] = split
    if "train" not in found.values() and column not in SPLIT_COLUMNS:
        return None
    return found if len(set(found.values())) > 1 or column in SPLIT_COLUMNS else None
