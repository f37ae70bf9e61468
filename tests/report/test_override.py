"""The section on an override: before all others, and whatever a person wrote is text."""

from __future__ import annotations

from report.override import add_override
from report.page import page, section
from serving.store.override import Override
from tests.support.html import HOSTILE, assert_inert


def test_the_section_stands_before_all_others() -> None:
    override = Override(
        name="support",
        version=2,
        bundle_sha256="0" * 64,
        reason=HOSTILE,
        by="anna",
        created="2025-01-01T00:00:00+00:00",
        expires="2025-01-08T00:00:00+00:00",
    )
    before = page(
        "support: release report", "A gate failed.", [section("Verdict", "fail"), section("Heads", "")]
    )
    html = add_override(before, override)
    assert_inert(html)
    assert html.index('<section id="override">') < html.index('<section id="verdict">')
    assert "anna" in html and "2025-01-08" in html and "&lt;img" in html
    added = html.index('<section id="override">')
    assert before == html[:added] + html[html.index('<section id="verdict">') :]
