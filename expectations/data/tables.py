"""The narrow tables that data expectations are evaluated on, read from a dataset folder.

Only what a check needs is read, and texts are looked at batch by batch, so that a million rows stay
within a few hundred megabytes. A cell is null where a check does not apply (a head's columns where the
row is unlabelled), so that shares are of the rows that it applies to.

Does not know rules, nor who evaluates them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.contents import text_numbers
from expectations.data.texts import BATCH_ROWS, Kinds, Texts, look_at_texts
from model.errors import HeadgateError, named
from model.spec import SPLITS, HeadSpec

MOST_LABELS = 3
"""Labels that a note names."""
COLUMN_OF = {"look_alike_labels": "distinct", "one_answer": "conflict"}
"""Rule that the profile says something of → its column, where that has another name."""


class DatasetError(HeadgateError):
    """A dataset folder is not what it should be; the message names the file and what is missing."""

    kind = "data"


@dataclass(frozen=True, slots=True)
class Tables:
    """What checks look at."""

    frames: Mapping[str, pd.DataFrame]
    """`observations` and `labels` of `expectations.data.check.TableName`."""
    figures: Mapping[str, float]
    """`labelled:HEAD:SPLIT` rows, `unseen_labels:HEAD` share, `answers:HEAD` in training rows,
    `NAME:HEAD:SPLIT` for each figure that the profile gives of a head in a split and, where they were
    counted, `near_duplicates_share`."""
    kinds: Mapping[str, Kinds]
    """Column of `observations` → kind of the defect in each row, where a column has kinds."""
    notes: Mapping[str, str]
    """Figure → end of the sentence about it: what it is made of. Column → the sentence about its defects."""


def load_profile(dataset: Path) -> dict[str, Any]:
    """`profile.json` of a dataset folder.

    Raises:
        DatasetError: it is missing or not JSON.
    """
    path = dataset / "profile.json"
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); merge the sources again") from error
    if not isinstance(profile, dict):
        raise DatasetError(f"{path}: expected a JSON object; merge the sources again")
    return profile


def load_tables(dataset: Path, heads: Mapping[str, HeadSpec], profile: Mapping[str, Any]) -> Tables:
    """Read the folder.

    Raises:
        DatasetError: a file or column is missing.
    """
    doubts = {f"{rule}:{head}" for head, said in profile.get("doubts", {}).items() for rule in said}
    observations, texts = _observations(dataset / "observations.parquet", heads, doubts)
    labelled = _labelled(dataset / "dataset.parquet", heads)
    counts = _label_counts(dataset / "labels.parquet", heads, profile)
    labels = counts[["head", "label"]].copy()
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    for head, spec in heads.items():
        splits = profile["heads"][head]["splits"]
        of_head = counts["head"] == head
        train = counts["train"].where(of_head)
        rows = labelled[head]["train"]
        # A row may be labelled and still leave one label of a multilabel head unknown.
        known = rows - counts["label"].map(splits.get("train", {}).get("unknown", {})).fillna(0)
        varies = (train > 0) & (train < known)
        alike = {label for group in profile.get("look_alike_labels", {}).get(head, ()) for label in group}
        labels[f"train_rows:{head}"] = train
        for name, cells, applies in (
            ("distinct", ~counts["label"].isin(alike), of_head),
            ("varies", varies, of_head),
            *((split, counts[split] > 0, of_head) for split in SPLITS if split != "train"),
        ):
            labels[f"{name}:{head}"] = cells.astype("boolean").where(applies)
        for split in SPLITS:
            of_split = splits.get(split, {})
            figures |= {f"{n}:{head}:{split}": x for n, x in of_split.items() if isinstance(x, int | float)}
            figures[f"labelled:{head}:{split}"] = labelled[head][split]
            found = {label: n for label, n in of_split.get("counts", {}).items() if n}
            if found:
                most, least = (pick(found, key=lambda at: (found[at], at)) for pick in (max, min))
                notes[f"imbalance:{head}:{split}"] = (
                    f" ({named(most)} on {found[most]:,} rows, {named(least)} on {found[least]:,})"
                )
                share = found[most] / max(labelled[head][split], 1)
                notes[f"commonest:{head}:{split}"] = f"Label {named(most)} of `{head}` is on {share:.0%}"
        unseen, note = _unseen(
            counts[of_head], profile.get("unseen_labels", {}).get(head, {}), labelled[head]
        )
        if unseen is not None:
            figures[f"unseen_labels:{head}"] = unseen
            notes[f"unseen_labels:{head}"] = note
        said = profile.get("doubts", {}).get(head, {})
        notes |= {f"{COLUMN_OF.get(rule, rule)}:{head}": sentence for rule, sentence in said.items()}
        match spec.kind:
            case "multiclass":
                figures[f"answers:{head}"] = int((train > 0).sum())
            case "multilabel":
                figures[f"answers:{head}"] = 2 if bool(varies.any()) else min(rows, 1)
            case _:
                assert_never(spec.kind)
    near, rows_in_all = profile.get("near_duplicates"), sum(profile["rows"].values())
    if near is not None and rows_in_all:
        figures["near_duplicates_share"] = near / rows_in_all
    return Tables(
        frames={"observations": observations, "labels": labels},
        figures=figures,
        kinds={"text_damaged": texts.damage, "text_markup": texts.markup},
        notes=notes,
    )


def open_table(path: Path, wanted: Collection[str]) -> pq.ParquetFile:
    """A Parquet file that holds the wanted columns.

    Raises:
        DatasetError: it is missing, not readable, or lacks a column.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; merge the sources again")
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise DatasetError(
            f"{path}: not a readable Parquet file ({error}); merge the sources again"
        ) from error
    missing = sorted(set(wanted) - set(file.schema_arrow.names))
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(map(repr, missing))}; merge the sources again")
    return file


def _unseen(
    counts: pd.DataFrame, left_out: Mapping[str, Mapping[str, int]], labelled: Mapping[str, int]
) -> tuple[float | None, str]:
    """(Share of a head's validation and test rows that have a label without training rows, at most; the
    labels.)

    Args:
        counts: one row a label of the head.
        left_out: label that the head does not have → split → rows.
    """
    held_out = counts["validation"] + counts["test"]
    rows = dict(zip(counts["label"], held_out.where(counts["train"] == 0, 0), strict=True))
    gone = {label: sum(of_split.values()) for label, of_split in left_out.items()}
    unseen = {label: int(n) for label, n in (rows | gone).items() if n}
    in_all = labelled["validation"] + labelled["test"] + sum(gone.values())
    if not in_all:
        return None, ""
    commonest = sorted(unseen.items(), key=lambda one: (-one[1], one[0]))[:MOST_LABELS]
    some = ", ".join(f"{named(label)} on {n:,} {'row' if n == 1 else 'rows'}" for label, n in commonest)
    where = ", left out of the head there" if gone else ""
    return min(sum(unseen.values()) / in_all, 1.0), f" ({some}{where})" if unseen else ""


def _observations(
    path: Path, heads: Mapping[str, HeadSpec], doubts: Collection[str]
) -> tuple[pd.DataFrame, Texts]:
    """Also those of the columns `doubts` that are there: `RULE:HEAD`, already null where it does not
    apply."""
    narrow = ["in_two_splits", "chars"]
    for head in heads:
        narrow += [f"count:{head}", f"unknown_label:{head}", f"conflict:{head}"]
    file = open_table(path, [*narrow, "text", "text_id", "source"])
    texts = look_at_texts(file)
    where = {f"{name}:{head}" for name in ("conflict_within", "conflict_between") for head in heads}
    where &= set(file.schema_arrow.names)
    doubtful = sorted(set(doubts) & set(file.schema_arrow.names))
    table = file.read(columns=[*narrow, *where, *doubtful])
    sources = file.read(columns=["source"])["source"]
    readable = pa.array(texts.present & ~texts.blank)

    def cells(applies: Any, values: Any) -> pd.Series[Any]:
        return series(pc.if_else(applies, values, None))

    columns: dict[str, Any] = {
        "text_present": texts.present,
        "text_blank": cells(pa.array(texts.present), pa.array(texts.blank)),
        "chars": cells(readable, table["chars"]),
        "text_damaged": cells(readable, pa.array(texts.damage.at > 0)),
        "text_markup": cells(readable, pa.array(texts.markup.at > 0)),
        "repeats": cells(readable, _repeats(file)),
        "in_two_splits": cells(readable, table["in_two_splits"]),
    }
    columns |= {column: series(table[column]) for column in doubtful}
    for head in heads:
        count, unknown = table[f"count:{head}"], pc.fill_null(table[f"unknown_label:{head}"], False)
        answered = pc.or_(pc.is_valid(count), unknown)
        columns[f"unknown_label:{head}"] = cells(answered, unknown)
        columns[f"conflict:{head}"] = cells(answered, table[f"conflict:{head}"])
        if f"conflict_within:{head}" in where:
            columns[f"conflict_within:{head}"] = cells(answered, table[f"conflict_within:{head}"])
        # Of one source alone there is nothing to say.
        if f"conflict_between:{head}" in where and len(pc.unique(sources.filter(answered))) > 1:
            columns[f"conflict_between:{head}"] = cells(answered, table[f"conflict_between:{head}"])
        # A cell with an unknown label breaks the rule `labels_known`; it is not one with too few labels.
        columns[f"count:{head}"] = series(pc.if_else(unknown, None, count))
    return pd.DataFrame(columns, copy=False), texts


def _repeats(file: pq.ParquetFile) -> pa.Array:
    """(observations,): how many of them hold the same text; 0 without one. Texts are told apart by 64 bits of
    their ids: two of 10^7 share them with a probability of 3e-6."""
    valid, found = [np.zeros(0, np.bool_)], [np.zeros(0, np.uint64)]
    for batch in file.iter_batches(columns=["text_id"], batch_size=BATCH_ROWS):
        text_ids = batch.column("text_id")
        valid.append(text_ids.is_valid().to_numpy(zero_copy_only=False))
        found.append(text_numbers(text_ids.drop_null()))
    there, numbers = np.concatenate(valid), np.concatenate(found)
    order = np.argsort(numbers)
    ranked = numbers[order]
    first = np.flatnonzero(np.concatenate([ranked[:1] == ranked[:1], ranked[1:] != ranked[:-1]]))
    counts = np.diff(np.append(first, numbers.size)).astype(np.int32)
    of_texts = np.empty(numbers.size, dtype=np.int32)
    of_texts[order] = np.repeat(counts, counts)
    repeats = np.zeros(there.size, dtype=np.int32)
    repeats[there] = of_texts
    return pa.array(repeats)


def series(array: pa.Array | pa.ChunkedArray) -> pd.Series[Any]:
    """A nullable pandas column; lists never come here, because most expectations fail on them."""
    types = {pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    return array.to_pandas(types_mapper=types.get)  # type: ignore[no-any-return]


def _labelled(path: Path, heads: Mapping[str, HeadSpec]) -> dict[str, dict[str, int]]:
    """Head → split → labelled rows."""
    file = open_table(path, ["split", *(f"head:{head}" for head in heads)])
    split = file.read(columns=["split"])["split"]
    masks = {name: pc.equal(split, name) for name in SPLITS}
    counts: dict[str, dict[str, int]] = {}
    for head in heads:
        valid = pc.is_valid(file.read(columns=[f"head:{head}"]).column(0))
        counts[head] = {name: pc.sum(pc.and_(valid, mask)).as_py() or 0 for name, mask in masks.items()}
    return counts


def _label_counts(path: Path, heads: Mapping[str, HeadSpec], profile: Mapping[str, Any]) -> pd.DataFrame:
    """Rows per head, label and split, zeros included."""
    file = open_table(path, ["split", "head", "label"])
    columns = ["head", "label", "split"]
    grouped = file.read(columns=columns).group_by(columns).aggregate([([], "count_all")]).to_pylist()
    found = {(row["head"], row["label"], row["split"]): row["count_all"] for row in grouped}
    rows = []
    for head, spec in heads.items():
        labels: Sequence[str] = spec.labels or profile["heads"][head]["labels"]
        rows += [(head, label, *(found.get((head, label, split), 0) for split in SPLITS)) for label in labels]
    return pd.DataFrame(rows, columns=["head", "label", *SPLITS])
