"""Section on labels that look wrong: labels, files and lines, never a text."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from expectations.data.suspects import Suspects
from report.page import Section, breakable, join, section, table

MOST_SHOWN = 40
"""Labels shown, the worst of all heads; the CSV holds up to `label_check.most_rows` of each head."""

HOW = {
    "baseline": "The baseline of each head answered all rows. It has learned the wrong labels of its "
    "training rows too, and finds only a few of them. Set label_check to out_of_fold to find more.",
    "out_of_fold": "Models that were trained without a training row answered it; the baseline of each head "
    "answered the validation and test rows.",
}
"""Mode → which models answered the rows."""


def suspects_section(found: Suspects) -> Section:
    """How many labels of each head look wrong, and the worst of all."""
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
                ("Head", "Rows that the model was", "Labels checked", "Look wrong", "Share"),
                totals,
                numeric={2, 3, 4},
            ),
            table(
                headers,
                rows,
                numeric={4},
                caption=f"The worst {len(rows):,} of {found.suspected:,}"
                if len(rows) < found.suspected
                else f"All {found.suspected:,}",
                empty="No label looks wrong.",
            ),
        ),
        lead=f"{HOW[found.mode]} A label looks wrong when the model is sure of another one. The score is the "
        f"model's probability of the given answer, from 0 to 1. No label was changed. {Path(found.csv).name} "
        f"lists {found.listed:,} of {found.suspected:,}.",
    )
