"""The quality page shows what came of each expectation in former runs."""

from __future__ import annotations

from expectations.data.gx.project import History, PastValue
from report.quality.history import history_section
from tests.support.html import tags

MET = PastValue(met=True, value=1.0)


def test_what_was_not_always_met_stands_first_with_its_run() -> None:
    history = History(
        runs=("20261129T030000000000-aaaa", "20261130T030000000000-bbbb"),
        values={
            "always <b>met</b>": (MET, MET),
            "once not": (MET, PastValue(met=False, value=0.5)),
            "new": (None, PastValue(met=True, value=None)),
        },
    )
    section = history_section(history)
    assert section is not None
    html = str(section.html).replace("<wbr>", "")
    assert "11-29 03:00" in html and "11-30 03:00" in html and "0.5" in html
    assert html.index("once not") < html.index("Always met (2)") < html.index("&lt;b&gt;met&lt;/b&gt;")
    tags(str(section.html))


def test_a_first_run_has_no_history() -> None:
    assert history_section(None) is None
    assert history_section(History(runs=("20261130T030000000000-bbbb",), values={"one": (MET,)})) is None
