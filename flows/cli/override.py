"""Show an override on the release report of the version that serves by it."""

from __future__ import annotations

from pathlib import Path

from model.files import write_bytes
from release.home import Home
from release.registry.client import open_registry
from release.registry.register import attach
from release.saved_settings import load_settings
from report.override import add_override
from report.release.gather import REPORT_FILE
from serving.store.override import Override


def show_override(home: Home, run: str, override: Override) -> Path | None:
    """Add a section to the page of the run, here and in the registry; the page, or None where it is not kept
    here any more.

    Raises:
        OSError: the page can't be written.
        release.registry.client.RegistryProblem: the registry can't be reached.
    """
    page = home.reports / run / REPORT_FILE
    if not page.is_file():
        return None
    write_bytes(page, add_override(page.read_text(encoding="utf-8", errors="replace"), override).encode())
    registry = open_registry(home, override.name, load_settings(home, override.name).registry)
    attach(registry, registry.run_of(override.version), page)
    return page
