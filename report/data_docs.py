"""Great Expectations' own pages of a run, and an index of them: files that need no network.

Does not know the library (`expectations.data.gx` renders the pages).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from expectations.data.findings import replace_file
from expectations.data.results import RuleResult, results_looked_at
from report.page import badge, page, section, table


def write_data_docs(pages: Mapping[str, str], results: Sequence[RuleResult], out: Path) -> Path:
    """Great Expectations' pages and an index of them; returns the index."""
    out.mkdir(parents=True, exist_ok=True)
    for name, html in pages.items():
        replace_file(out / f"{name}.html", html.encode("utf-8"))
    looked = results_looked_at(results)
    rows = [(name, Markup('<a href="{0}.html">{0}.html</a>').format(name)) for name in pages]
    index = page(
        "Data Docs",
        "Great Expectations' own account, one page a table, with counts and without values from the data.",
        [
            section("Tables", table(("Table", "Page"), rows)),
            section(
                "Expectations",
                table(
                    ("Outcome", "Severity", "Rule", "Expected", "Seen"),
                    [(badge(r.outcome), r.severity, r.subject, r.expected, r.reason) for r in looked],
                    wide={4},
                ),
            ),
        ],
    )
    replace_file(out / "index.html", index.encode("utf-8"))
    return out / "index.html"
