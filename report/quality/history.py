"""The quality page's section on former runs: what came of each expectation, run by run."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from expectations.data.gx.project import History, PastValue
from report.page import Section, badge, breakable, folded, join, section, table

DAY = slice(4, 8)
TIME = slice(9, 13)
"""Where a run's name has them: `20261130T213713…`."""


def history_section(history: History | None) -> Section | None:
    """One line an expectation, one column a run, those first that were not always met; None where no former
    run kept anything."""
    if history is None or len(history.runs) < 2:
        return None
    from report.charts.lines import line_chart  # late: loads matplotlib

    mixed = [name for name, values in history.values.items() if not _always_met(values)]
    others = [name for name in history.values if name not in mixed]
    shares = [
        (float(at + 1), sum(one.met for one in of_run) / len(of_run))
        for at, of_run in enumerate(_by_run(history))
        if of_run
    ]
    chart = line_chart(
        "Expectations that were met",
        {"met": shares},
        x="run, the last is this one",
        y="share of expectations",
        dots=True,
    )
    return section(
        "Over the runs",
        join(
            chart,
            _table(history, mixed, empty="Every expectation was met in every run."),
            folded(f"Always met ({len(others)})", _table(history, others, empty="None.")),
        ),
        lead="What held: the share of rows, labels or texts, or the figure that was looked at. Great "
        "Expectations keeps it: open the state folder as a project of its own (docs/great-expectations.md).",
    )


def _table(history: History, names: Sequence[str], *, empty: str) -> Markup:
    rows = [(breakable(name), *map(_cell, history.values[name])) for name in names]
    return table(("Expectation", *map(_when, history.runs)), rows, empty=empty)


def _cell(one: PastValue | None) -> Markup | None:
    if one is None:
        return None
    shown = "–" if one.value is None else f"{one.value:.4g}"
    return badge("met" if one.met else "not met", shown)


def _when(run: str) -> str:
    """`11-30 21:37` of a run's name."""
    day, time = run[DAY], run[TIME]
    return f"{day[:2]}-{day[2:]} {time[:2]}:{time[2:]}" if day.isdigit() and time.isdigit() else run


def _always_met(values: Sequence[PastValue | None]) -> bool:
    return all(one is None or one.met for one in values)


def _by_run(history: History) -> list[list[PastValue]]:
    return [
        [values[at] for values in history.values.values() if values[at] is not None]  # type: ignore[misc]
        for at in range(len(history.runs))
    ]
