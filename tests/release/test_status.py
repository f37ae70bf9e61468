"""`headgate status`: what serves and how it came about, from disk alone, and as it is shown."""

from __future__ import annotations

import pytest

from flows.cli.console import show_status
from release.home import Home
from release.journal import Entry, Journal
from release.status import MOST_ENTRIES, read_status


@pytest.fixture
def registered(home: Home) -> Home:
    """A home whose journal has more entries than are shown."""
    journal = Journal(home.journal / "toy.jsonl")
    for version in range(1, MOST_ENTRIES + 3):
        journal.append(Entry(event="registered", version=version, detail="verdict: fail"))
    return home


def test_a_project_without_a_champion_says_what_there_is(registered: Home) -> None:
    [project] = read_status(registered.root)["projects"]
    assert (project["name"], project["champion"], project["previous"]) == ("toy", None, None)
    assert project["endpoint"] == {
        "running": False,
        "says": "not running; start it with: headgate serve toy",
    }
    assert [entry["version"] for entry in project["history"]] == list(range(3, MOST_ENTRIES + 3))


def test_status_is_shown_with_its_history(registered: Home, capsys: pytest.CaptureFixture[str]) -> None:
    show_status(read_status(registered.root, "toy"))
    shown = capsys.readouterr().out
    assert "champion   none" in shown and "headgate serve toy" in shown
    assert shown.count("verdict: fail") == MOST_ENTRIES
