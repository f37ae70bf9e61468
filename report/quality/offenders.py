"""The quality page's section on offending rows: how many each rule and head has, and the first ones."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
from markupsafe import Markup

from expectations.data.gate import DataVerdict
from report.page import Section, breakable, columns, join, section, table

MOST_OF_A_RULE = 10
"""Rows listed of one rule and head; the CSV holds up to 1,000."""
MOST_CARDS = 40
"""Pairs of rule and head that are listed."""

Place = tuple[object, object]


def offenders_section(judged: DataVerdict, beside: Path) -> Section:
    """Offending rows by rule and head, with links to all of them and to the Data Docs.

    Args:
        beside: folder of the page, which the links start from.
    """
    findings = pq.read_table(judged.offending_parquet)
    kept: Counter[tuple[str, str | None]] = Counter()
    places: defaultdict[tuple[str, str | None], list[Place]] = defaultdict(list)
    named = [findings[name].to_pylist() for name in ("rule", "source", "file", "line", "head", "value")]
    for rule, source, file, line, head, value in zip(*named, strict=True):
        kept[rule, head] += 1
        if kept[rule, head] <= MOST_OF_A_RULE:
            place = source if file is None else breakable(f"{Path(file).name}:{line}")
            places[rule, head].append((place, value))
    heads = Counter(rule for rule, _ in places)
    cards = []
    for (rule, head), listed in list(places.items())[:MOST_CARDS]:
        # Totals are exact for a rule. For one of its several heads the kept rows count, at most 1,000.
        total = judged.offending_totals.get(rule, 0) if heads[rule] == 1 else kept[rule, head]
        at_least = heads[rule] > 1 and total < judged.offending_totals.get(rule, 0) and total >= 1000
        of = f"{'at least ' if at_least else ''}{max(total, len(listed)):,}"
        caption = f"{rule}{f' [{head}]' if head else ''}: " + (
            f"{of} found" if len(listed) == total else f"{len(listed)} of {of} found"
        )
        cards.append(_card(caption, listed))
    links = Markup(
        '<p>Up to 1,000 rows of each rule and head: <a href="{}">{}</a>. The report of Great Expectations: '
        '<a href="{}">Data Docs</a>.</p>'
    ).format(
        os.path.relpath(judged.offending_csv, beside),
        Path(judged.offending_csv).name,
        os.path.relpath(judged.data_docs, beside),
    )
    if not cards:
        return section("Offending rows", join(table((), [], empty="No offending rows."), links))
    totals = ", ".join(f"{rule} {count:,}" for rule, count in judged.offending_totals.items())
    return section("Offending rows", join(columns(cards), links), lead=f"All of them: {totals}.")


def _card(caption: str, listed: list[Place]) -> Markup:
    """One rule and head; a column that is empty throughout is left out."""
    headers = ("File and line", "Value")
    used = [at for at in (0, 1) if any(place[at] is not None for place in listed)] or [0]
    rows = [[place[at] for at in used] for place in listed]
    return table([headers[at] for at in used], rows, caption=caption)
