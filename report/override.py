"""Show an override on the release report of the version that serves by it.

The report was written when the version was judged; a section is added to its page, here and in the
registry. Does not decide about overrides.
"""

from __future__ import annotations

from markupsafe import Markup

from report.page import badge, section, table
from serving.store.override import Override

REPORT_FILE = "release.html"
_FIRST_SECTION = "<section "


def override_section(override: Override) -> str:
    """HTML of the section; whatever a person wrote is escaped."""
    rows = [
        ("Reason", override.reason),
        ("By", override.by),
        ("Since", override.created),
        ("Until", override.expires),
    ]
    lead = "This version serves although its verdict is not a pass, on a person's word and for a while."
    shown = Markup("{}\n{}").format(badge("warning", "override"), table(["What", "Value"], rows, wide=[1]))
    return str(section("Override", shown, lead=lead).html)


def add_override(page_html: str, override: Override) -> str:
    """The release page with the section of an override before all others."""
    before, found, after = page_html.partition(_FIRST_SECTION)
    return f"{before}{override_section(override)}\n{found}{after}"
