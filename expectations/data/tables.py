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
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.errors import HeadgateError
from model.spec import SPLITS, HeadSpec

BATCH_ROWS = 65_536
"""Texts looked at at once."""

DAMAGE: Mapping[str, str] = {
    "replacement character": "\ufffd",
    "control character": r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    # UTF-8 read as Latin-1 or Windows-1252: an accented letter shows as Ã or Â before a sign that no
    # word begins with, a curly quote as â€.
    "misread UTF-8": "\u00c3[\u0080-\u00bf]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac",
}
"""Kind of damage → pattern (RE2). A text counts once, under the first that fits."""


MARKUP: Mapping[str, str] = {
    # Attributes hold an equals sign: `x <y and z> 1` is no tag.
    "tag": r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*=[^<>]*)?\s*/?>",
    "comment": r"<!--|<!\[CDATA\[|<!(?i:doctype)",
    "entity": r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});",
}
"""Kind of HTML → pattern (RE2). A text counts once, under the first that fits."""

SPLIT_FIGURES = ("coverage", "imbalance", "normalised_entropy", "cardinality", "density")
"""Figures that the profile gives of a head in a split (`sources.profile.figures`), where there is one."""


class DatasetError(HeadgateError):
    """A dataset folder is not what it should be; the message names the file and what is missing."""

    kind = "data"


@dataclass(frozen=True, slots=True)
class Tables:
    """What checks look at."""

    frames: Mapping[str, pd.DataFrame]
    """`observations` and `labels` of `expectations.data.suite`."""
    figures: Mapping[str, float]
    """`labelled:HEAD:SPLIT` rows, `answers:HEAD` in training rows, `NAME:HEAD:SPLIT` for the names in
    `SPLIT_FIGURES` and, where they were counted, `near_duplicates_share`."""
    damage: NDArray[np.int8]
    """(observations,): 0 for an undamaged text, else 1 + position in `DAMAGE`."""
    markup: NDArray[np.int8]
    """(observations,): 0 for a text without HTML, else 1 + position in `MARKUP`."""
    label_counts: pd.DataFrame
    """One row a head and label: `head`, `label`, and rows per split in columns named by split."""


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
    observations, damage, markup = _observations(dataset / "observations.parquet", heads)
    labelled = _labelled(dataset / "dataset.parquet", heads)
    counts = _label_counts(dataset / "labels.parquet", heads, profile)
    labels = counts[["head", "label"]].copy()
    figures: dict[str, float] = {}
    for head, spec in heads.items():
        of_head = counts["head"] == head
        train = counts["train"].where(of_head)
        rows = labelled[head]["train"]
        # A row may be labelled and still leave one label of a multilabel head unknown.
        unknown = profile["heads"][head]["splits"].get("train", {}).get("unknown", {})
        known = rows - counts["label"].map(unknown).fillna(0)
        varies = (train > 0) & (train < known)
        alike = {label for group in profile.get("look_alike_labels", {}).get(head, ()) for label in group}
        labels[f"distinct:{head}"] = (~counts["label"].isin(alike)).astype("boolean").where(of_head)
        labels[f"train_rows:{head}"] = train
        labels[f"varies:{head}"] = varies.astype("boolean").where(of_head)
        asked = of_head & (counts["validation"] + counts["test"] > 0)
        labels[f"seen:{head}"] = (train > 0).astype("boolean").where(asked)
        for split in SPLITS:
            if split != "train":
                labels[f"{split}:{head}"] = (counts[split] > 0).astype("boolean").where(of_head)
            figures[f"labelled:{head}:{split}"] = labelled[head][split]
            known_of = profile["heads"][head]["splits"].get(split, {})
            named = {f"{name}:{head}:{split}": known_of.get(name) for name in SPLIT_FIGURES}
            figures |= {name: figure for name, figure in named.items() if figure is not None}
        if spec.kind == "multiclass":
            figures[f"answers:{head}"] = int((train > 0).sum())
        else:
            figures[f"answers:{head}"] = 2 if bool(varies.any()) else min(rows, 1)
    near, rows_in_all = profile.get("near_duplicates"), sum(profile["rows"].values())
    if near is not None and rows_in_all:
        figures["near_duplicates_share"] = near / rows_in_all
    frames = {"observations": observations, "labels": labels}
    return Tables(frames=frames, figures=figures, damage=damage, markup=markup, label_counts=counts)


def _open(path: Path, wanted: Collection[str]) -> pq.ParquetFile:
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


def _observations(
    path: Path, heads: Mapping[str, HeadSpec]
) -> tuple[pd.DataFrame, NDArray[np.int8], NDArray[np.int8]]:
    narrow = ["in_two_splits", "chars"]
    for head in heads:
        narrow += [f"count:{head}", f"unknown_label:{head}", f"conflict:{head}"]
    file = _open(path, [*narrow, "text", "text_id", "source"])
    where = [f"{name}:{head}" for name in ("conflict_within", "conflict_between") for head in heads]
    where = [name for name in where if name in file.schema_arrow.names]
    present, blank, damage, markup = _look_at_texts(file)
    table = file.read(columns=[*narrow, *where])
    sources = file.read(columns=["source"])["source"]
    readable = pa.array(present & ~blank)
    repeats = _repeats(file.read(columns=["text_id"])["text_id"])
    columns: dict[str, Any] = {
        "text_present": present,
        "text_blank": _series(pc.if_else(pa.array(present), pa.array(blank), None)),
        "chars": _series(pc.if_else(readable, table["chars"], None)),
        "text_damaged": _series(pc.if_else(readable, pa.array(damage > 0), None)),
        "text_markup": _series(pc.if_else(readable, pa.array(markup > 0), None)),
        "repeats": _series(pc.if_else(readable, repeats, None)),
        "in_two_splits": _series(pc.if_else(readable, table["in_two_splits"], None)),
    }
    for head in heads:
        count, unknown = table[f"count:{head}"], pc.fill_null(table[f"unknown_label:{head}"], False)
        answered = pc.or_(pc.is_valid(count), unknown)
        columns[f"unknown_label:{head}"] = _series(pc.if_else(answered, unknown, None))
        columns[f"conflict:{head}"] = _series(pc.if_else(answered, table[f"conflict:{head}"], None))
        if f"conflict_within:{head}" in where:
            columns[f"conflict_within:{head}"] = _series(
                pc.if_else(answered, table[f"conflict_within:{head}"], None)
            )
        # Of one source alone there is nothing to say.
        if f"conflict_between:{head}" in where and len(pc.unique(sources.filter(answered))) > 1:
            columns[f"conflict_between:{head}"] = _series(
                pc.if_else(answered, table[f"conflict_between:{head}"], None)
            )
        # A cell with an unknown label is that rule's, not one with too few labels.
        columns[f"count:{head}"] = _series(pc.if_else(unknown, None, count))
    return pd.DataFrame(columns, copy=False), damage, markup


def _repeats(text_ids: pa.ChunkedArray) -> pa.Array:
    """(observations,): how many of them hold the same text; 0 without one."""
    codes = pc.dictionary_encode(text_ids).combine_chunks().indices
    numbers = pc.fill_null(codes, -1).to_numpy(zero_copy_only=False)
    counts = np.bincount(numbers + 1)
    counts[0] = 0
    return pa.array(counts[numbers + 1].astype(np.int32))


def _look_at_texts(
    file: pq.ParquetFile,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int8], NDArray[np.int8]]:
    """Per observation: whether a text is there, whether it is blank, what is damaged in it, and what HTML."""
    present, blank, damage, markup = [], [], [], []
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=["text", "text_id"]):
        text = batch.column("text")
        there = pc.is_valid(text)
        empty = pc.equal(pc.utf8_trim_whitespace(text), "")
        # Blank after the normalisation that defines a text's identity: it then has no identity.
        nothing = pc.and_(there, pc.or_(pc.fill_null(empty, True), pc.is_null(batch.column("text_id"))))
        present.append(there.to_numpy(zero_copy_only=False))
        blank.append(nothing.to_numpy(zero_copy_only=False))
        damage.append(_kinds(text, DAMAGE))
        markup.append(_kinds(text, MARKUP))
    if not present:
        nobody, nothing_found = np.zeros(0, np.bool_), np.zeros(0, np.int8)
        return nobody, nobody, nothing_found, nothing_found
    return np.concatenate(present), np.concatenate(blank), np.concatenate(damage), np.concatenate(markup)


def _kinds(text: pa.Array, patterns: Mapping[str, str]) -> NDArray[np.int8]:
    """(texts,): 1 + position of the first pattern that fits, 0 where none does."""
    kinds = np.zeros(len(text), dtype=np.int8)
    for kind, pattern in reversed(list(enumerate(patterns.values(), start=1))):
        hit = pc.fill_null(pc.match_substring_regex(text, pattern), False)
        kinds[hit.to_numpy(zero_copy_only=False)] = kind
    return kinds


def _series(array: pa.Array | pa.ChunkedArray) -> pd.Series[Any]:
    """A nullable pandas column; lists never come here, because most expectations fail on them."""
    types = {pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    return array.to_pandas(types_mapper=types.get)  # type: ignore[no-any-return]


def _labelled(path: Path, heads: Mapping[str, HeadSpec]) -> dict[str, dict[str, int]]:
    """Head → split → labelled rows."""
    file = _open(path, ["split", *(f"head:{head}" for head in heads)])
    split = file.read(columns=["split"])["split"]
    masks = {name: pc.equal(split, name) for name in SPLITS}
    counts: dict[str, dict[str, int]] = {}
    for head in heads:
        valid = pc.is_valid(file.read(columns=[f"head:{head}"]).column(0))
        counts[head] = {name: pc.sum(pc.and_(valid, mask)).as_py() or 0 for name, mask in masks.items()}
    return counts


def _label_counts(path: Path, heads: Mapping[str, HeadSpec], profile: Mapping[str, Any]) -> pd.DataFrame:
    """Rows per head, label and split, zeros included."""
    file = _open(path, ["split", "head", "label"])
    columns = ["head", "label", "split"]
    grouped = file.read(columns=columns).group_by(columns).aggregate([([], "count_all")]).to_pylist()
    found = {(row["head"], row["label"], row["split"]): row["count_all"] for row in grouped}
    rows = []
    for head, spec in heads.items():
        labels: Sequence[str] = spec.labels or profile["heads"][head]["labels"]
        rows += [(head, label, *(found.get((head, label, split), 0) for split in SPLITS)) for label in labels]
    return pd.DataFrame(rows, columns=["head", "label", *SPLITS])


def flat_dataset(dataset: Path, heads: Mapping[str, HeadSpec], columns: Collection[str]) -> pd.DataFrame:
    """The merged rows as a flat table with the named columns that exist, for the user's own expectations.

    `head:H` is the label (multilabel: labels joined by `, `), `count:H` the number of labels of a
    multilabel head, `label:H:L` whether label L applies. A name that does not exist is left out: the
    expectation that asks for it then fails to be evaluated, and says so.
    """
    file = _open(dataset / "dataset.parquet", ["split"])
    plain = [name for name in ("text_id", "text", "split", "weight", "group") if name in columns]
    made: dict[str, Any] = {name: _series(file.read(columns=[name]).column(0)) for name in plain}
    for head, spec in heads.items():
        wanted = [name for name in columns if name in (f"head:{head}", f"count:{head}")]
        flags = [name for name in columns if name.startswith(f"label:{head}:")]
        if not wanted and not flags:
            continue
        cells = file.read(columns=[f"head:{head}"]).column(0).combine_chunks()
        for name in wanted:
            if spec.kind == "multiclass":
                if name.startswith("head:"):
                    made[name] = _series(cells)
            elif name.startswith("count:"):
                made[name] = _series(pc.list_value_length(cells))
            else:
                # Polars writes large lists, for which there is no join.
                small = cells.cast(pa.list_(pa.string()))
                made[name] = _series(pc.binary_join(small, ", "))
        for name in flags if spec.kind == "multilabel" else ():
            label = name.removeprefix(f"label:{head}:")
            if label in spec.labels:
                parents = pc.list_parent_indices(cells)
                holds = np.zeros(len(cells), dtype=np.bool_)
                holds[pc.filter(parents, pc.equal(pc.list_flatten(cells), label)).to_numpy()] = True
                made[name] = _series(pc.if_else(pc.is_valid(cells), pa.array(holds), None))
    if not made:
        made["split"] = _series(file.read(columns=["split"]).column(0))
    return pd.DataFrame(made, copy=False)


def flat_observations(dataset: Path, columns: Collection[str]) -> pd.DataFrame:
    """The input rows with those of the named columns that exist, for the user's own expectations."""
    file = _open(dataset / "observations.parquet", ["line"])
    wanted = [name for name in file.schema_arrow.names if name in columns] or ["line"]
    return pd.DataFrame({name: _series(file.read(columns=[name]).column(0)) for name in wanted}, copy=False)


def observation_columns(dataset: Path) -> tuple[str, ...]:
    """Every name that `flat_observations` knows."""
    return tuple(_open(dataset / "observations.parquet", ["line"]).schema_arrow.names)


def flat_columns(heads: Mapping[str, HeadSpec]) -> tuple[str, ...]:
    """Every name that `flat_dataset` knows."""
    names = ["text_id", "text", "split", "weight", "group"]
    for head, spec in heads.items():
        names.append(f"head:{head}")
        if spec.kind == "multilabel":
            names += [f"count:{head}", *(f"label:{head}:{label}" for label in spec.labels)]
    return tuple(names)
