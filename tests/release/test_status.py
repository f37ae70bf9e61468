"""`headgate status`: what serves and how it came about, from disk alone, and as it is shown."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flows.cli.commands import main
from flows.cli.console import show_status
from release.home import Home
from release.journal import Entry, Journal
from release.saved_settings import Settings, save_settings
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


def test_one_damaged_file_does_not_hide_the_rest(
    registered: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_settings(registered, "other", Settings())
    (registered.projects / "toy.json").write_text("{")
    report = read_status(registered.root)
    damaged = {project["name"]: project["damage"] for project in report["projects"]}
    assert damaged["other"] == []
    [sentence] = damaged["toy"]
    assert "toy.json: not a project's settings" in sentence
    toy = next(project for project in report["projects"] if project["name"] == "toy")
    assert len(toy["history"]) == MOST_ENTRIES
    show_status(report)
    assert sentence in capsys.readouterr().out
    done = CliRunner().invoke(main, ["status", "--home", str(registered.root)])
    assert done.exit_code == 1 and "toy.json" in done.output
    assert CliRunner().invoke(main, ["status", "other", "--home", str(registered.root)]).exit_code == 0


def test_a_damaged_journal_and_state_file_are_named(registered: Home) -> None:
    (registered.journal / "toy.jsonl").write_text("garbage\n")
    (registered.endpoints / "toy.json").write_text("garbage")
    [project] = read_status(registered.root, "toy")["projects"]
    assert ["toy.jsonl, line 1" in one for one in project["damage"]] == [True, False]
    assert "remove the file and run `headgate serve`" in project["damage"][1]
    assert project["history"] == []
    (registered.endpoints / "toy.json").unlink()
