"""Labels that look wrong as a section of a report: labels, files and lines, never a text."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from expectations.data.suspects import Suspects
from report.page import Section, breakable, join, section, table

MOST_SHOWN = 40
"""Suspicious labels shown, the worst of all heads; up to `label_check.most_rows` a head stand in the CSV."""

HOW = {
    "baseline": "Each row was answered by its head's baseline. It was trained on the training rows and has "
    "learned their wrong labels too, so that far fewer are found there than there are "
    "(`label_check: out_of_fold` answers them by models fitted without them).",
    "out_of_fold": "Training rows were answered by models that were fitted without them, validation and test "
    "rows by their head's baseline.",
}
"""Mode → whose answers the labels were held against."""


def suspects_section(found: Suspects) -> Section:
    """How many there are a head, and the worst."""
    totals = [
        (
            total.head,
            "trained on" if total.seen else "not trained on",
            total.looked,
            total.suspected,
            f"{total.suspected / total.looked:.1%}" if total.looked else None,
        )
        for total in found.totals
    ]
    worst = pq.read_table(found.parquet).slice(0, MOST_SHOWN).to_pylist()
    rows = [
        (
            row["head"],
            row["label"],
            row["given"],
            row["suggested"],
            f"{row['score']:.3f}",
            row["source"],
            None if row["file"] is None else breakable(f"{Path(row['file']).name}:{row['line']}"),
            row["split"],
        )
        for row in worst
    ]
    headers = ("Head", "Label", "Given", "Model's answer", "Score", "Source", "File and line", "Split")
    return section(
        "Suspicious labels",
        join(
            table(
                ("Head", "Rows that the model was", "Labels looked at", "Look wrong", "Share"),
                totals,
                numeric={2, 3, 4},
            ),
            table(
                headers,
                rows,
                numeric={4},
                caption=f"The worst {len(rows)} of {found.suspected:,}",
                empty="No label looks wrong.",
            ),
        ),
        lead=f"{HOW[found.mode]} A label looks wrong where the model is sure of another one; the score is "
        f"its probability of the given answer. No label was changed. {Path(found.csv).name} lists "
        f"{found.listed:,} of {found.suspected:,}.",
    )
