"""What chance an equally good model has on the test rows, as a section: of both pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from report.page import Section, join, paragraph, section, table


def chances_section(chances: Sequence[Mapping[str, Any]]) -> Section:
    """A row a head.

    Args:
        chances: `expectations.chances.HeadChance.to_json` of each head.
    """
    power = f"{chances[0]['power']:.0%}" if chances else "the power"
    rows = [
        (
            one["head"],
            one["metric"],
            one["rows"],
            f"{one['fewest'][0]}: {one['fewest'][1]:,}",
            f"-{one['margin']:g}",
            None if one["passes"] is None else f"{one['passes']:.0%}",
            None if one["power_margin"] is None else f"-{one['power_margin']:.4f}",
            f"{one['disagreeing']:.1%} " + ("(champion)" if one["from_champion"] else "(assumed)"),
        )
        for one in chances
    ]
    headings = (
        "Head",
        "Metric",
        "Test rows",
        "Rarest label",
        "Margin",
        "Chance",
        f"{power} at",
        "Disagree on",
    )
    return section(
        "Chances",
        join(
            table(headings, rows, {2, 4, 5, 6, 7}),
            *(paragraph(one["warning"]) for one in chances if one["low"]),
        ),
        lead="How likely a model that is exactly as good as its baseline passes its margin with these test "
        "rows. The last column: the share of rows (F1: of a label's rows) that only one of the two is taken "
        "to have right.",
    )
