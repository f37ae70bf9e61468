"""The data of a run in MLflow: one input a split, with schema, profile, digest and where it lies.

Counts and names of columns and labels only, never a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.files import read_json
from model.spec import SPLITS
from release.registry.candidate import Candidate

if TYPE_CHECKING:
    from mlflow.entities import Dataset, DatasetInput

CONTEXTS = {"train": "training", "validation": "validation", "test": "testing"}
"""Split → what MLflow calls it."""


def split_inputs(name: str, dataset: Path, fingerprint: str, rows: Mapping[str, int]) -> list[DatasetInput]:
    """One input for each split of the dataset folder of project `name`."""
    from mlflow.entities import DatasetInput, InputTag

    tags = [InputTag("headgate.dataset_fingerprint", fingerprint)]
    return [
        DatasetInput(
            dataset=split_entity(name, dataset, fingerprint, split, rows),
            tags=[InputTag("mlflow.data.context", CONTEXTS[split]), *tags],
        )
        for split in SPLITS
        if split in rows
    ]


def split_entity(name: str, dataset: Path, fingerprint: str, split: str, rows: Mapping[str, int]) -> Dataset:
    """MLflow's record of one split, such as `feelings-test`, whose digest follows its texts."""
    from mlflow.entities import Dataset

    table = dataset / "dataset.parquet"
    digests: Mapping[str, str] = _json(dataset / "rows" / "rows.json").get("digest", {})
    return Dataset(
        name=f"{name}-{split}",
        digest=digests.get(split, fingerprint)[:16],
        source_type="local",
        source=json.dumps({"uri": str(table)}),
        schema=_schema(table),
        profile=json.dumps(_profile(dataset, split, rows)),
    )


def split_entity_of(name: str, candidate: Candidate) -> Dataset | None:
    """The test rows of a candidate of project `name`; None where it has none."""
    rows = candidate.dataset_rows
    if "test" not in rows:
        return None
    return split_entity(name, candidate.dataset, candidate.dataset_fingerprint, "test", rows)


def _profile(dataset: Path, split: str, rows: Mapping[str, int]) -> dict[str, Any]:
    heads = _json(dataset / "profile.json").get("heads", {})
    known = {head: about["splits"][split] for head, about in heads.items() if split in about["splits"]}
    return {
        "num_rows": int(rows[split]),
        "heads": {
            head: {"labelled": one["labelled"], "labels": one["counts"]} for head, one in known.items()
        },
    }


def _schema(table: Path) -> str | None:
    """MLflow's schema of the table's columns; None where there is no table."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    try:
        columns = pq.read_schema(table)
    except (OSError, pa.ArrowInvalid):
        return None

    def kind(arrow: Any) -> Any:
        if pa.types.is_integer(arrow):
            return DataType.long
        if pa.types.is_floating(arrow):
            return DataType.double
        if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
            return Array(kind(arrow.value_type))
        return DataType.string

    return json.dumps({"mlflow_colspec": Schema([ColSpec(kind(c.type), c.name) for c in columns]).to_dict()})


def _json(file: Path) -> dict[str, Any]:
    try:
        raw = read_json(file)
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
