"""Suspicious labels are listed by source line, capped, escaped, and told in the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from expectations.data.suspects import Predictions, Suspects, find_suspects
from model.spec import HeadSpec
from report.page import page
from report.suspects import suspects_section

HOSTILE = "=<b>1+1</b>"
HEADS = {
    "topic": HeadSpec(kind="multiclass", labels=("bill", "trip", HOSTILE)),
    "mood": HeadSpec(kind="multilabel", labels=("glad", "cross")),
}


def answers_of(dataset: Path, head: str, wrong: list[int], *, seen: bool = False) -> Predictions:
    """A model that is sure of what is given, except at the training rows in `wrong`."""
    rows = pq.read_table(dataset / "dataset.parquet").filter(
        pq.read_table(dataset / "dataset.parquet")["split"].to_numpy() == "train"
    )
    cells, labels = rows[f"head:{head}"].to_pylist(), HEADS[head].labels
    if HEADS[head].kind == "multiclass":
        targets = np.array([-1 if cell is None else labels.index(cell) for cell in cells])
        chances = np.full((len(cells), len(labels)), 0.02)
        chances[np.arange(len(cells)), targets] = 0.96
        chances[wrong] = np.roll(chances[wrong], 1, axis=1)
    else:
        targets = np.array([[-1, -1] if c is None else [int(x in c) for x in labels] for c in cells])
        chances = np.where(targets == 1, 0.95, 0.05)
        chances[wrong, 0] = 1 - chances[wrong, 0]
    return Predictions(
        split="train", positions=np.arange(len(cells)), targets=targets, probabilities=chances, seen=seen
    )


def dataset_of(rows: list[Any], write_dataset: Any) -> Path:
    for i, row in enumerate(rows):
        row.labels = {"topic": [HEADS["topic"].labels[i // 4 % 3]], "mood": [["glad"], ["cross"]][i // 4 % 2]}
        if i % 5 == 0:
            del row.labels["mood"]
        row.file = "<folder>/letters.csv"
    made: Path = write_dataset(rows, HEADS)
    return made


def check(dataset: Path, out: Path, most_rows: int = 1000, wrong: tuple[int, ...] = (4, 9)) -> Suspects:
    answers = {head: [answers_of(dataset, head, list(wrong))] for head in HEADS}
    return find_suspects(dataset, HEADS, answers, out, mode="out_of_fold", most_rows=most_rows)


def test_each_is_listed_with_the_line_that_gives_it(
    rows: list[Any], write_dataset: Any, tmp_path: Path
) -> None:
    dataset = dataset_of(rows, write_dataset)
    files = {path: path.read_bytes() for path in dataset.iterdir()}
    found = check(dataset, tmp_path / "out")
    listed = pq.read_table(found.parquet).to_pylist()
    merged = pq.read_table(dataset / "dataset.parquet")
    train = merged.filter(merged["split"].to_numpy() == "train").to_pylist()
    wanted = {("topic", train[at]["text_id"], train[at]["head:topic"]) for at in (4, 9)} | {
        ("mood", train[at]["text_id"], "glad") for at in (4, 9) if train[at]["head:mood"] is not None
    }
    inputs = pq.read_table(dataset / "observations.parquet").to_pylist()
    id_at = {row["line"]: row["text_id"] for row in inputs}
    seen = {(r["head"], id_at[r["line"]], r["label"] or r["given"]) for r in listed}
    assert seen == wanted
    assert all(r["source"] == "letters" and r["rows"] == 1 and not r["seen"] for r in listed)
    assert all((r["given"] == "applies") != (r["suggested"] == "applies") for r in listed if r["label"])
    assert [r["score"] for r in listed] == sorted(r["score"] for r in listed)
    assert {path: path.read_bytes() for path in dataset.iterdir()} == files, "no label is changed"


def test_the_list_is_capped_and_the_total_is_told(
    rows: list[Any], write_dataset: Any, tmp_path: Path
) -> None:
    found = check(
        dataset_of(rows, write_dataset), tmp_path / "out", most_rows=3, wrong=tuple(range(0, 20, 2))
    )
    [topic] = [total for total in found.totals if total.head == "topic"]
    assert (topic.suspected, topic.looked, topic.seen) == (10, 150, False)
    listed = pq.read_table(found.parquet).to_pylist()
    assert [row["head"] for row in listed].count("topic") == 3 and found.listed == len(listed)
    html = page("t", "s", [suspects_section(found)])
    assert f"The worst {found.listed} of {found.suspected}" in html


def test_what_is_written_is_inert_and_holds_no_text(
    rows: list[Any], write_dataset: Any, tmp_path: Path
) -> None:
    found = check(dataset_of(rows, write_dataset), tmp_path / "out", wrong=tuple(range(20)))
    html = page("t", "s", [suspects_section(found)])
    assert "<b>" not in html and "&lt;b&gt;" in html and "message number" not in html
    text = Path(found.csv).read_text(encoding="utf-8")
    assert f"'{HOSTILE}" in text and f'"{HOSTILE}' not in text and "message number" not in text
    assert text.count("\n") == found.listed + 1


def test_rows_that_the_model_was_trained_on_are_told_apart(
    rows: list[Any], write_dataset: Any, tmp_path: Path
) -> None:
    dataset = dataset_of(rows, write_dataset)
    answers = {"topic": [answers_of(dataset, "topic", [1], seen=True), answers_of(dataset, "topic", [2, 3])]}
    found = find_suspects(dataset, HEADS, answers, tmp_path / "out", mode="baseline", most_rows=10)
    assert [(total.seen, total.suspected) for total in found.totals] == [(False, 2), (True, 1)]
    assert sorted(pq.read_table(found.parquet)["seen"].to_pylist()) == [False, False, True]
    html = page("t", "s", [suspects_section(found)])
    assert "finds only a few of them" in html and "not trained on" in html


def test_nothing_suspicious_is_said(rows: list[Any], write_dataset: Any, tmp_path: Path) -> None:
    found = check(dataset_of(rows, write_dataset), tmp_path / "out", wrong=())
    assert (found.listed, found.suspected) == (0, 0)
    assert "No label looks wrong." in page("t", "s", [suspects_section(found)])
