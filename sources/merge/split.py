"""Which split each text belongs to: given ones are honoured, the others follow a seeded hash.

The hash sees only the seed and the text's id (or its group), so adding rows never moves old ones, and
the same text gets the same split on any machine. Shares of labels in the splits are therefore those of
a random sample, off by about sqrt(p(1 - p)/n) for a label with n texts (4 points at 100 texts): exact
stratification would have to move old rows when new ones come, and stability is worth more, since a
moved test row was trained on before (decision 0007, with figures).

- Given in several splits: the text stays in test before validation before train.
- A group without a given split goes where its hash says as a whole; if some of its texts are given,
  the others follow them (test before validation before train). A text in two groups joins them, so a
  new row that names two groups may move old ones: the one exception, since a group stays whole.
- If the rows of a head are all given and none is in validation (or test), that split is carved out of
  its given training rows by a second hash, with the share configured for hashed rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from model.spec import SPLITS, SplitName
from sources.errors import BadSplit, Problem
from sources.merge.identity import text_ids
from sources.spec import SplitSpec

CODES = {name: code for code, name in enumerate(SPLITS)}
"""Split → code; the larger one wins where a text is given in several."""
SPLIT_OF = {code: name for name, code in CODES.items()}
"""Code → split."""

_HASH_DIGITS = 15
"""Hex digits of an id that enter the hash: 60 bits, which fit a signed 64-bit integer."""


def unit_hash(ids: pl.Series, seed: int, salt: int = 0) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each hex id, the same for ever for one seed and salt.

    The id, a SHA-256, is mixed with the seed by the finaliser of SplitMix64 (Steele et al. 2014,
    "Fast splittable pseudorandom number generators"), whose 53 upper bits become the fraction.
    """
    number = (
        ids.str.slice(0, _HASH_DIGITS).str.to_integer(base=16, dtype=pl.Int64).to_numpy().astype(np.uint64)
    )
    start = np.array([(seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) % 2**64], dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = number ^ _mix(start)
        mixed = _mix(mixed)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def join_groups(pairs: pl.DataFrame) -> dict[str, str]:
    """Group → the name that stands for all groups joined with it, for groups that share a text.

    Args:
        pairs: `text_id`, `group`: the groups of texts that have more than one.
    """
    leader: dict[str, str] = {}

    def find(group: str) -> str:
        while leader.setdefault(group, group) != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    for groups in pairs.group_by("text_id").agg(pl.col("group").unique()).get_column("group"):
        first, *others = sorted(map(find, groups))
        for other in others:
            if (root := find(other)) != (top := find(first)):
                # the smaller name leads, whatever the order in which texts come
                leader[max(root, top)] = min(root, top)
    return {group: find(group) for group in list(leader)}


def assign_splits(texts: pl.DataFrame, labelled: Mapping[str, pl.Series], split: SplitSpec) -> pl.DataFrame:
    """`texts` with a column `split` added.

    Args:
        texts: `text_id`, `given` (int8 code of `CODES`, null = not given), `group` (null = none; groups
            that share a text already carry one name).
        labelled: head → bool per text, whether a row of it has a cell for the head. Cells that were not
            understood or are in conflict count, so that correcting them moves no row.

    Raises:
        BadSplit: a split would be empty, or the shares leave nothing for training.
    """
    if split.validation + split.test >= 1:
        seen = f"split.validation + split.test is {split.validation + split.test:g}"
        raise BadSplit(Problem(seen, "less than 1: the rest is for training"))
    keys = _keys(texts)
    code = _follow_group(texts)
    hashed = unit_hash(keys, split.seed)
    by_hash = np.select([hashed < split.test, hashed < split.test + split.validation], [2, 1], 0)
    given = code.is_not_null().to_numpy()
    codes = np.where(given, code.fill_null(0).to_numpy(), by_hash).astype(np.int8)
    codes = _carve(texts, codes, given, keys, labelled, split)
    _refuse_empty(codes, split)
    return texts.with_columns(pl.Series("split", codes).replace_strict(SPLIT_OF, return_dtype=pl.String))


def _keys(texts: pl.DataFrame) -> pl.Series:
    """What is hashed: the text's id, or the id of its group's name."""
    distinct = texts.select(pl.col("group").drop_nulls().unique())
    if distinct.height == 0:
        return texts["text_id"]
    ids = distinct.with_columns(text_ids(distinct["group"]).alias("key"))
    joined = texts.join(ids, on="group", how="left", maintain_order="left")
    return joined.select(pl.coalesce("key", "text_id")).to_series()


def _follow_group(texts: pl.DataFrame) -> pl.Series:
    """The code given to each text, or to another of its group."""
    grouped = texts.filter(pl.col("group").is_not_null())
    if grouped.height == 0:
        return texts["given"]
    of_group = grouped.group_by("group").agg(pl.col("given").max().alias("of_group"))
    joined = texts.join(of_group, on="group", how="left", maintain_order="left")
    return joined.select(pl.coalesce("given", "of_group")).to_series()


def _carve(
    texts: pl.DataFrame,
    codes: npt.NDArray[np.int8],
    given: npt.NDArray[np.bool_],
    keys: pl.Series,
    labelled: Mapping[str, pl.Series],
    split: SplitSpec,
) -> npt.NDArray[np.int8]:
    """Take from given training rows what a head lacks in validation and test."""
    needs = {1: np.zeros(len(codes), dtype=bool), 2: np.zeros(len(codes), dtype=bool)}
    for has_cell in labelled.values():
        mask = has_cell.to_numpy()
        if (mask & ~given).any():
            continue  # hashed rows of this head fill every split
        for code in (1, 2):
            if mask.any() and not (mask & (codes == code)).any():
                needs[code] |= mask
    if not (needs[1].any() or needs[2].any()):
        return codes
    if texts["group"].null_count() < texts.height:
        needs = {code: _whole_groups(texts, need) for code, need in needs.items()}
    carved = unit_hash(keys, split.seed, salt=1)
    movable = given & (codes == 0)
    test = movable & needs[2] & (carved < split.test)
    start = np.where(needs[2], split.test, 0.0)
    validation = movable & needs[1] & (carved >= start) & (carved < start + split.validation)
    return np.select([test, validation], [2, 1], codes).astype(np.int8)


def _whole_groups(texts: pl.DataFrame, need: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    together = texts.select("group", need=pl.Series(need)).with_columns(
        pl.when(pl.col("group").is_not_null())
        .then(pl.col("need").any().over("group"))
        .otherwise("need")
        .alias("need")
    )
    return together["need"].to_numpy()


def _refuse_empty(codes: npt.NDArray[np.int8], split: SplitSpec) -> None:
    problems = []
    shares: dict[SplitName, float] = {
        "train": 1 - split.validation - split.test,
        "validation": split.validation,
        "test": split.test,
    }
    for name, share in shares.items():
        if not np.any(codes == CODES[name]):
            seen = f"the {name} split is empty ({len(codes):,} texts in all)"
            advice = "Give it rows, or leave the rows' split out so that they are split by hash."
            if share == 0:
                advice = f"Set `split.{name}` above 0, or give it rows."
            problems.append(Problem(seen, "rows in every split", advice))
    if problems:
        raise BadSplit(*problems)
