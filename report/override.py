"""A section of the release report on the override by which its version serves.

The report was written when the version was judged; the section is added to its text later. Does not know
where the page lies.
"""

from __future__ import annotations

from report.page import badge, join, paragraph, section, table
from serving.store.override import Override

_FIRST_SECTION = "<section "


def add_override(page_html: str, override: Override) -> str:
    """The page of the version with the section in front of its other sections; a person's text is escaped."""
    before, found, after = page_html.partition(_FIRST_SECTION)
    rows = [
        ("Reason", override.reason),
        ("By", override.by),
        ("Since", override.created),
        ("Until", override.expires),
    ]
    shown = section(
        "Override",
        join(paragraph(badge("warning", "override")), table(["What", "Value"], rows, wide=[1])),
        lead="The verdict of this version is not a pass. A person lets it serve until the time below.",
    )
    return f"{before}{shown.html}\n{found}{after}"
