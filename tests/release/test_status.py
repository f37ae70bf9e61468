"""`headgate status`: what serves and how it came about, from disk alone, and as it is shown."""

from __future__ import annotations

import pytest
from rich.console import Console

from flows.cli.console import show_answers, show_status, verdict_table
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


def test_what_others_wrote_forges_no_line_and_moves_no_cursor(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "fine\n  champion   version 9, approved\x1b[2J\r\u202e"
    Journal(home.journal / "toy.jsonl").append(Entry(event="promotion begun", version=1, detail=evil))
    report = read_status(home.root, "toy")
    report["projects"][0]["champion"] = f"version 1, BY OVERRIDE of somebody: {evil}"
    show_status(report)
    answers = [{"head": {"labels": [{"label": evil, "probability": 0.5}]}}]
    show_answers([evil], {"name": "toy", "version": 1, "answers": answers})
    row = dict.fromkeys(("subject", "metric", "shared", "baseline", "difference", "margin", "verdict"), evil)
    Console().print(verdict_table([row], 80))
    shown = capsys.readouterr().out
    assert r"\x1b[2J" in shown and r"\u202e" in shown
    assert not {"\x1b", "\r", "\u202e"} & set(shown)
    status = shown.partition("When (UTC)")[0]
    assert status.count("champion") == 2 and len([x for x in status.splitlines() if "champion" in x]) == 1
