"""The quality page's section on people who labelled the same texts: how far they agree, head by head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report.page import Section, section, table


def agreement_section(profile: Mapping[str, Any]) -> Section | None:
    """One line a source and head that several people labelled; None where there is none."""
    rows = [
        (
            source["name"],
            head,
            figures["people"],
            figures["texts"],
            figures["answers"],
            figures["differing"],
            figures["tied"] or None,
            "not defined: all answers are the same"
            if figures["alpha"] is None
            else f"{figures['alpha']:.3f}",
        )
        for source in profile["sources"]
        for head, figures in source.get("agreement", {}).items()
    ]
    if not rows:
        return None
    names = ("Source", "Head", "People", "Texts", "Answers", "Texts they differ on", "Unlabelled by a tie")
    return section(
        "Agreement of annotators",
        table((*names, "Krippendorff's α"), rows, numeric={2, 3, 4, 5, 6, 7}),
        lead="Texts that two or more people labelled for the head. α is 1 where all agree and 0 where they "
        "agree as chance would have it; below 0.667 not even tentative conclusions hold (Krippendorff 2004). "
        "A model can hardly agree with people more than they agree with each other.",
    )
