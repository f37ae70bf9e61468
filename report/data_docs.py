"""Great Expectations' own account of a run: one page a table and an index, which need no network.

Does not know the library (`expectations.data.gx.evaluate` renders what it says).
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from expectations.data.gate import DataVerdict
from model.files import write_bytes
from report.page import TEMPLATES, badge, page, section, table, template


def write_data_docs(judged: DataVerdict) -> Path:
    """Write the pages and their index where the verdict says that they belong; returns the index."""
    index = Path(judged.data_docs)
    index.parent.mkdir(parents=True, exist_ok=True)
    style = Markup((TEMPLATES / "page.css").read_text(encoding="utf-8"))
    for name, sections in judged.pages.items():
        # What Great Expectations rendered, from strings that were escaped before.
        html = template("data_docs.html").render(name=name, sections=Markup(sections), style=style)
        write_bytes(index.with_name(f"{name}.html"), html.encode("utf-8"))
    links = [(name, Markup('<a href="{0}.html">{0}.html</a>').format(name)) for name in judged.pages]
    rows = [
        (badge(result.outcome), result.check.severity, result.subject, result.check.expected, result.reason)
        for result in judged.results
        if result.looked_at
    ]
    html = page(
        "Data Docs",
        "Great Expectations' own account, one page a table, with counts and without values from the data.",
        [
            section("Tables", table(("Table", "Page"), links)),
            section(
                "Expectations",
                table(("Outcome", "Severity", "Rule", "Expected", "Seen"), rows, wide={4}),
            ),
        ],
    )
    write_bytes(index, html.encode("utf-8"))
    return index
