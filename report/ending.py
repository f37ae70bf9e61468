"""How a run ended and what its data hold, as markdown and as rows of a table, for Prefect's interface.

Holds no text from the data; names that come from it are written as plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from expectations.verdict import Verdict
from serving.shown import plain_markdown

MOST_ROWS = 200
"""Most findings of a table; those that did not pass come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a run ended, in words."""

    ending: str
    """Name of the state, such as `Rejected`."""
    said: str
    """What that means, in one sentence."""
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    paste: str = ""
    """Lines of YAML that would let it go on."""


def ending_markdown(name: str, shown: Shown, pages: Mapping[str, str]) -> str:
    """A page about how a run of project `name` ended.

    Args:
        pages: title → file.
    """
    lines = [f"# {name}: {shown.ending}", "", plain_markdown(shown.said), ""]
    lines += [f"- {plain_markdown(reason)}" for reason in shown.reasons]
    lines += [f"- Remark: {plain_markdown(remark)}" for remark in shown.remarks]
    if shown.paste:
        lines += ["", "To consent, add to the configuration:", ""]
        lines += [f"    {line}" for line in shown.paste.splitlines()]
    if pages:
        lines += ["", "| page | file |", "|---|---|"]
        lines += [f"| {title} | {plain_markdown(path)} |" for title, path in pages.items()]
    return "\n".join(lines)


def finding_rows(verdict: Verdict) -> list[dict[str, str]]:
    """One row a finding: those that did not pass first."""
    found = sorted(verdict.findings, key=lambda one: one.outcome == "pass")
    return [
        {"outcome": one.outcome, "rule": one.subject, "what was seen": one.remark or one.reason}
        for one in found[:MOST_ROWS]
    ]


def data_rows(profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a head and split of a profile: labelled rows, labels, the rarest of them."""
    rows = []
    for head, about in profile.get("heads", {}).items():
        for split, one in about.get("splits", {}).items():
            counts: Mapping[str, int] = one.get("counts", {})
            rarest = min(counts.items(), key=lambda item: item[1], default=("", 0))
            rows.append(
                {
                    "head": head,
                    "split": split,
                    "labelled rows": one.get("labelled", 0),
                    "labels": len(counts),
                    "rarest label": f"{rarest[0]} ({rarest[1]:,})" if counts else "",
                }
            )
    return rows
