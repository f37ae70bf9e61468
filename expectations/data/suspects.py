"""Labels that look wrong, as data: source, file, line, head, the given and the suggested label, a score.

Reads a dataset folder for the places; the texts are never read. Does not know the model that doubts, and
never changes a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from expectations.data.offending_rows import write_table
from expectations.stats.label_issues import Floats, Integers, score_labels
from model.spec import UNLABELLED, HeadSpec, SplitName

COLUMNS = pa.schema(
    [
        ("source", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("rows", pa.int64()),
        ("split", pa.string()),
        ("seen", pa.bool_()),
        ("head", pa.string()),
        ("label", pa.string()),
        ("given", pa.string()),
        ("suggested", pa.string()),
        ("score", pa.float64()),
    ]
)
"""Columns of the table of suspicious labels. `rows`: input rows with this text that are labelled for the
head, of which source, file and line name the first. `seen`: whether the model was trained on the row.
`label` is empty for multiclass heads, whose `given` and `suggested` are labels; for multilabel heads these
are `applies` or `does not apply`. `score`: the model's probability of the given answer."""

APPLIES, APPLIES_NOT = "applies", "does not apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A model's predictions for rows of one split, beside what is given there."""

    split: SplitName
    positions: NDArray[np.int64]
    """(N,) which rows of the split, from 0."""
    targets: Integers
    """(N,) or (N, L), as in `model.rows`."""
    probabilities: Floats
    """(N, L)."""
    seen: bool
    """Whether the model was trained on these rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTotal:
    """What came of one head: rows that the model had not been trained on, and rows that it had."""

    head: str
    seen: bool
    looked: int
    """Labels that were looked at: rows for multiclass, cells for multilabel."""
    suspected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """Where the suspicious labels are listed, and how many there are in truth."""

    mode: str
    """`baseline` or `out_of_fold`."""
    totals: tuple[HeadTotal, ...]
    listed: int
    parquet: str
    csv: str

    @property
    def suspected(self) -> int:
        """Suspicious labels of all heads."""
        return sum(total.suspected for total in self.totals)

    @property
    def looked(self) -> int:
        """Labels looked at."""
        return sum(total.looked for total in self.totals)


Suspect = dict[str, Any]
"""A row of the table (`COLUMNS`) without its place, and its `position` in the split."""


def find_suspects(
    dataset: Path,
    heads: Mapping[str, HeadSpec],
    predictions: Mapping[str, Sequence[Predictions]],
    out: Path,
    *,
    mode: str,
    most_rows: int,
) -> Suspects:
    """Score what is given, and write `suspicious_labels.parquet` and `.csv` into the folder `out`.

    Rows that the model was trained on are scored apart from the others: it is surer of them.

    Args:
        heads: labels filled in.
        predictions: head → predictions for its rows.
        most_rows: most rows listed a head, the lowest scores first.
    """
    totals: list[HeadTotal] = []
    suspects: list[Suspect] = []
    for head, parts in predictions.items():
        of_head: list[Suspect] = []
        for seen in (False, True):
            chosen = [part for part in parts if part.seen is seen]
            if chosen:
                looked, found = _suspects(head, heads[head], chosen)
                totals.append(HeadTotal(head=head, seen=seen, looked=looked, suspected=len(found)))
                of_head += found
        suspects += sorted(of_head, key=_worst_first)[:most_rows]
    suspects.sort(key=_worst_first)
    table = _placed(dataset, suspects)
    parquet, text = write_table(table, out, "suspicious_labels")
    return Suspects(
        mode=mode, totals=tuple(totals), listed=table.num_rows, parquet=str(parquet), csv=str(text)
    )


def _worst_first(one: Suspect) -> tuple[float, str, str, int]:
    return one["score"], one["head"], one["split"], one["position"]


def _suspects(head: str, spec: HeadSpec, parts: Sequence[Predictions]) -> tuple[int, list[Suspect]]:
    """Labels looked at, and those that look wrong, of parts that are alike."""
    targets = np.concatenate([part.targets for part in parts])
    scored = score_labels(targets, np.concatenate([part.probabilities for part in parts]))
    splits = np.concatenate([np.full(len(part.positions), part.split) for part in parts])
    positions = np.concatenate([part.positions for part in parts])
    found: list[Suspect] = []
    for at in zip(*(axis.tolist() for axis in np.nonzero(scored.suspected)), strict=True):
        given, suggested = int(targets[at]), int(scored.suggested[at])
        match spec.kind:
            case "multiclass":
                label, names = None, spec.labels
            case "multilabel":
                label, names = spec.labels[at[1]], (APPLIES_NOT, APPLIES)
            case _:
                assert_never(spec.kind)
        where = {"split": str(splits[at[0]]), "position": int(positions[at[0]]), "seen": parts[0].seen}
        what = {"head": head, "label": label, "given": names[given], "suggested": names[suggested]}
        found.append({**where, **what, "score": float(scored.score[at])})
    return int((targets != UNLABELLED).sum()), found


def _placed(dataset: Path, suspects: Sequence[Suspect]) -> pa.Table:
    """The suspects with the first input row of each."""
    rows = pq.read_table(dataset / "dataset.parquet", columns=["text_id", "split"])
    ids_of = {
        split: rows["text_id"].filter(pc.equal(rows["split"], split))
        for split in {one["split"] for one in suspects}
    }
    ids = [ids_of[one["split"]][one["position"]].as_py() for one in suspects]
    wanted = pa.array(sorted(set(ids)), type=rows.schema.field("text_id").type)
    places: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    for head in {one["head"] for one in suspects}:
        names = ["text_id", "source", "file", "line"]
        inputs = pq.read_table(dataset / "observations.parquet", columns=[*names, f"count:{head}"])
        labelled = pc.and_(inputs[f"count:{head}"].is_valid(), pc.is_in(inputs["text_id"], value_set=wanted))
        columns = (inputs[name].filter(labelled).to_pylist() for name in names)
        for text_id, source, file, line in zip(*columns, strict=True):
            places.setdefault((head, text_id), []).append((source, file, line))
    made = []
    for one, text_id in zip(suspects, ids, strict=True):
        origins = places.get((one["head"], text_id), [])
        source, file, line = min(origins, default=(None, None, None))
        made.append({**one, "source": source, "file": file, "line": line, "rows": len(origins)})
    return pa.Table.from_pylist(made, schema=COLUMNS)
