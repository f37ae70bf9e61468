"""What `headgate status` prints: fields, one a line, and the history as a table.

Knows rich and the report of `release.status`; does not gather anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from serving.shown import one_line


def show_status(report: Mapping[str, Any], console: Console) -> None:
    """What serves and how it came about, one block a project."""
    for project in report["projects"]:
        console.print(Text(one_line(project["name"]), style="bold"))
        for title, value in _fields(project):
            style = "red" if title == "damaged" else ""
            console.print(Text(one_line(f"  {title:<10} {value}"), style=style), soft_wrap=True)
        if not project["history"]:
            console.print("  history    nothing yet")
            continue
        history = Table(
            "When (UTC)", "What", "Version", "Detail", "By", header_style="bold", title_justify="left"
        )
        for entry in project["history"]:
            at = str(entry["at"]).partition("+")[0].replace("T", " ")
            cells = (at, entry["event"], entry["version"], entry["detail"], entry.get("by", ""))
            history.add_row(*(Text(one_line(str(cell)), overflow="fold") for cell in cells))
        console.print(history)


def _fields(project: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    yield from _version("champion", project["serving"], project["champion"])
    yield from _version("previous", project.get("former"), project["previous"])
    if undecided := project.get("undecided"):
        yield "undecided", f"version {undecided['version']}"
        yield "judge", undecided["judge"]
        yield "override", undecided["override"]
    elif project["waiting"]:
        yield "waiting", project["waiting"]
    if watch := project.get("watch"):
        yield "watch", watch
    yield from _endpoint(project["endpoint"])
    for start in project.get("next", ()):
        yield "next", start
    for ending in reversed(project.get("endings", ())):
        why = f": {ending['detail']}" if ending["detail"] else ""
        yield "ended", f"{ending['at']}  {ending['flow']} {ending['end']}{why}"
    for sentence in project["damage"]:
        yield "damaged", sentence


def _version(
    title: str, fields: Mapping[str, Any] | None, sentence: str | None
) -> Iterator[tuple[str, object]]:
    """A version as fields; the sentence that says what to do where it may not serve."""
    if fields is None or not fields.get("may_serve"):
        yield title, sentence or "none"
        return
    yield title, f"version {fields['version']}"
    yield "  verdict", fields["verdict"]
    yield "  approved", fields["approved"]
    yield "  bundle", f"{fields['bundle_sha256'][:12]}…, signature good"
    if override := fields["override"]:
        yield "  serves", f"BY OVERRIDE of {override['by']} until {override['expires']}: {override['reason']}"


def _endpoint(endpoint: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    if not endpoint.get("ready") or "; refused" in endpoint["says"]:
        yield "endpoint", endpoint["says"]
        return
    yield "endpoint", endpoint["url"]
    yield "  serves", f"version {endpoint['version']}"
    yield "  process", endpoint["pid"]
