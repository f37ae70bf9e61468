"""`headgate status`: what serves and how it came about, from disk alone; what it advises works as printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from flows.cli.commands import main
from flows.cli.console import show_answers, show_outcome, show_status, verdict_table
from flows.outcome import Outcome
from release.home import Home
from release.journal import Entry, Journal
from release.moves.promote_by_hand import promote_by_hand
from release.moves.restore import restore
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.client import open_registry
from release.registry.register import register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_first_settings, save_settings
from release.spec import RegistrySpec
from release.status import MOST_ENTRIES, read_status
from serving.spec import DeploySpec
from serving.store.override import _FORMAT, OVERRIDE_FILE
from tests.release.test_crashes import ship


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


Make = Callable[..., Candidate]


def printed(shown: str, command: str) -> list[str]:
    """Arguments of the command that was printed: up to the line's end or the next backquote."""
    found = re.search(rf"headgate {command}[^`\n]*", shown)
    assert found is not None, shown
    return shlex.split(found[0])[1:]


def test_after_a_rollback_status_alias_and_the_next_rollback_agree(home: Home, candidate: Make) -> None:
    for seed in (1, 2, 3):
        ship(home, candidate(seed))
    for champion, previous in ((2, 1), (1, None)):
        assert roll_back(home, "toy").serving == champion
        [project] = read_status(home.root, "toy")["projects"]
        pointed = open_registry(home, "toy", RegistrySpec()).pointed()
        assert pointed is not None and pointed.aliases.get("previous") == previous
        shown = project["previous"]
        assert shown is None if previous is None else shown.startswith(f"version {previous},")
        assert project["champion"].startswith(f"version {champion},")


def test_a_first_version_that_was_not_decided_serves_by_the_command_that_is_printed(
    home: Home, candidate: Make, deploy_spec: DeploySpec, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the one at the end of the run, and by the one of `status`; each from another folder."""
    save_first_settings(home, "toy", Settings(registry=RegistrySpec(), deploy=deploy_spec))
    run = CliRunner().invoke
    registered = register_version(home, "toy", RegistrySpec(), candidate(1, "inconclusive"))
    show_outcome(
        Outcome(stage="model_rejected", name="toy", registered=registered.facts, undecided=True),
        home=home.root,
    )
    shown = capsys.readouterr().out
    assert printed(shown, "judge")[:3] == ["judge", "toy", "1"]
    done = run(main, printed(shown, "promote"))
    assert done.exit_code == 0 and "version 1 serves by an override" in done.output, done.output

    register_version(home, "toy", RegistrySpec(), candidate(2, "inconclusive"))
    shown = run(main, ["status", "toy", "--home", str(home.root)]).output
    assert printed(shown, "judge")[:3] == ["judge", "toy", "2"]
    done = run(main, printed(shown, "promote"))
    assert done.exit_code == 0 and "version 2 serves by an override" in done.output, done.output
    assert read_status(home.root, "toy")["projects"][0]["waiting"] is None


def test_a_champion_whose_override_ended_is_not_called_damaged(
    home: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    save_settings(home, "toy", Settings(registry=RegistrySpec(), deploy=deploy_spec))
    ship(home, candidate(1))
    register_version(home, "toy", RegistrySpec(), candidate(2, "fail"))
    override = promote_by_hand(home, "toy", 2, reason="a demonstration").override
    assert override is not None
    releases = open_releases(home, "toy", RegistrySpec())
    over = replace(override, expires="2020-01-01T00:00:00+00:00")
    _FORMAT.write(releases.folder.version_dir(2) / OVERRIDE_FILE, over, releases.private_key)
    said = read_status(home.root, "toy")["projects"][0]["champion"]
    assert "REFUSED" in said and "expired" in said and "damaged" not in said
    run = CliRunner().invoke
    where = ["--home", str(home.root)]
    renewed = run(main, [*printed(said, "promote"), *where])
    assert renewed.exit_code == 0, renewed.output
    assert printed(said, "rollback")[:2] == ["rollback", "toy"]
    back = run(main, ["rollback", "toy", *where])
    assert back.exit_code == 0 and "version 1 serves again" in back.output


def test_a_withdrawn_champion_is_none(home: Home, candidate: Make) -> None:
    ship(home, candidate(1))
    restore(open_releases(home, "toy", RegistrySpec()), 1, "it answered wrongly")
    [project] = read_status(home.root, "toy")["projects"]
    assert (project["champion"], project["previous"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["rollback", "toy"], 1, "no version served before 1"),
        (["rollback", "toy", "--to", "9"], 1, "version 9 may not serve"),
        (["rollback", "toy", "--to", "-1"], 2, "--to"),
        (["promote", "toy", str(10**30)], 2, "range"),
        (["promote", "toy", "9"], 1, "version 9"),
        (["serve", "nobody"], 2, "nothing was ever deployed as 'nobody'"),
        (["serve", "toy"], 1, "token file"),
        (["predict", "toy", "rain"], 1, "not running"),
    ],
)
def test_foreseen_errors_are_one_message(
    arguments: list[str], code: int, says: str, home: Home, candidate: Make, deploy_spec: DeploySpec
) -> None:
    secret = home.root / "token"
    secret.write_bytes(b"\xff\xfe not ascii")
    deploy = replace(deploy_spec, token_file=str(secret))
    save_settings(home, "toy", Settings(registry=RegistrySpec(), deploy=deploy))
    ship(home, candidate(1))
    done = CliRunner().invoke(main, [*arguments, "--home", str(home.root)])
    assert done.exit_code == code and says in done.output, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


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


def test_status_answers_fields(home: Home, candidate: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        ship(home, candidate(seed))
    register_version(home, "toy", RegistrySpec(), candidate(3, "inconclusive"))
    report = read_status(home.root, "toy")
    [project] = report["projects"]
    assert (project["serving"]["version"], project["former"]["version"]) == (2, 1)
    assert project["serving"]["verdict"] == project["former"]["verdict"] == "pass"
    undecided = project["undecided"]
    assert undecided["version"] == 3 and undecided["judge"] == "headgate judge toy 3"
    assert undecided["override"].startswith("headgate promote toy 3 --override")
    show_status(report)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for wanted in ("champion   version 2", "previous   version 1", "undecided  version 3"):
        assert wanted in lines
    assert [line for line in lines if re.fullmatch(r"verdict +pass", line)] != []
    documented = Path(__file__).resolve().parents[2].joinpath("docs", "json.md").read_text(encoding="utf-8")
    for field in project:
        assert f"`{field}`" in documented, field
