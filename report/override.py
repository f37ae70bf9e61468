"""Show an override on the release report of the version that serves by it.

The report was written when the version was judged; a section is added to its page, here and in the
registry. Does not decide about overrides.
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from model.files import write_bytes
from release.home import Home
from release.registry.client import Registry
from release.registry.judgement import Judgement
from release.registry.register import attach
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


def show_override(home: Home, registry: Registry, judged: Judgement, override: Override) -> Path | None:
    """Add the section to the page of the run; the page, or None where it is not kept here any more.

    Raises:
        OSError: the page can't be written.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    page = home.reports / judged.run / REPORT_FILE
    if not page.is_file():
        return None
    before, found, after = page.read_text(encoding="utf-8").partition(_FIRST_SECTION)
    write_bytes(page, f"{before}{override_section(override)}\n{found}{after}".encode())
    with registry.asked("find the run of a version"):
        run_id = registry.client.get_model_version(registry.model, str(judged.version)).run_id or ""
    attach(registry, run_id, [page])
    return page
