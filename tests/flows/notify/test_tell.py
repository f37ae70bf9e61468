"""Whoever wants to know is told, once, by HTTP and by mail; a target that is down delays nothing."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from flows.notify.deliver import MOST_S
from flows.notify.notices import Notice, notice_of
from flows.notify.record import Record, read, record_file
from flows.notify.spec import EVENTS, Event
from flows.notify.tell import FOLDED_S, GRACE_S, LOG, tell
from flows.outcome import Outcome
from model.files import write_json
from release.home import Home
from tests.support.told import by_http, by_mail

HOUR_S = 3600.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def told_by(home: Home, *targets: dict[str, Any], **more: Any) -> None:
    record = {
        "config": str(home.root.parent / "project.yaml"),
        "targets": list(targets),
        "since": 1.0,
        **more,
    }
    write_json(record_file(home, "kitchen"), record)


def logged(home: Home) -> str:
    """What the process that delivers logged, once it has."""
    until = time.monotonic() + MOST_S + 20
    while not (home.logs / LOG).is_file() and time.monotonic() < until:
        time.sleep(0.05)
    return (home.logs / LOG).read_text()


def notice(event: Event = "rejected", **more: Any) -> Notice:
    known = {"version": 16, "why": "topic: 0.71, 0.05 below its baseline", "look": "/r/release.html"}
    return Notice(event=event, name="kitchen", **{**known, "run": "headgate status kitchen", **more})


def test_a_message_says_what_which_version_why_where_to_look_and_what_to_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        told_by(home, {"on": ["rejected"], "url_env": "HOOK"})
        tell(home, "kitchen", [notice()])
        (message,) = somebody.heard(1)
    assert message["title"] == "headgate kitchen: rejected, version 16"
    assert message["message"].splitlines() == [
        "topic: 0.71, 0.05 below its baseline",
        "look: /r/release.html",
        "run: headgate status kitchen",
    ]
    log = logged(home)
    assert "url_env HOOK: delivered" in log and "t0ken" not in log


def test_by_mail_with_the_address_in_a_file(home: Home) -> None:
    file = home.root.parent / "address"
    home.root.mkdir()
    with by_mail() as somebody:
        file.write_text(f"{somebody.url}\n")
        file.chmod(0o600)
        told_by(home, {"on": ["failed"], "url_file": "address"})
        tell(home, "kitchen", [notice("failed", why="retrain: label <b>x</b> & more")])
        (mail,) = somebody.heard(1)
    assert (mail["title"], mail["to"]) == ("headgate kitchen: FAILED, version 16", "ops@example.org")
    assert "retrain: label <b>x</b>" in mail["plain"] and "run: headgate status" in mail["plain"]
    assert "<b>" not in mail["html"] and "&lt;b&gt;x" in mail["html"]


def test_only_who_wants_to_know_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with by_http() as bad, by_http() as good:
        monkeypatch.setenv("BAD", bad.url)
        monkeypatch.setenv("GOOD", good.url)
        told_by(home, {"on": ["failed"], "url_env": "BAD"}, {"on": ["deployed"], "url_env": "GOOD"})
        tell(home, "kitchen", [notice("deployed"), notice("unchanged")])
        assert (len(good.heard(1)), bad.messages) == (1, [])


def test_a_storm_is_folded_and_its_count_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        told_by(home, {"on": ["failed", "deployed"], "url_env": "HOOK"})
        for minute in range(12):
            tell(home, "kitchen", [notice("failed", version=None)], now=1e9 + 300 * minute)
        assert len(somebody.heard(1)) == 1
        tell(home, "kitchen", [notice("failed", version=None)], now=1e9 + HOUR_S)
        assert "11 more of the same" in somebody.heard(2)[1]["message"]
        tell(home, "kitchen", [notice("failed", version=None)], now=1e9 + HOUR_S + 60)
        tell(home, "kitchen", [notice("deployed")], now=1e9 + 3 * HOUR_S)
        # Both at once, from threads beside each other.
        assert sorted(somebody.titles(4)[2:]) == [
            "headgate kitchen: FAILED",
            "headgate kitchen: deployed, version 16",
        ]
    assert FOLDED_S == HOUR_S


def test_what_was_told_is_forgotten_in_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        told_by(home, {"on": ["deployed"], "url_env": "HOOK"})
        tell(home, "kitchen", [notice("deployed", version=1)], now=1e9)
        tell(home, "kitchen", [notice("deployed", version=2)], now=1e9 + 40 * 86_400)
    assert list(read(home, "kitchen").told) == ["deployed 2"]


def test_a_target_that_is_down_or_hangs_delays_nothing_and_is_logged(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADGATE_CONSOLE", "1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with by_http(wait_s=60) as hangs, by_http() as well:
        monkeypatch.setenv("DOWN", f"json://127.0.0.1:{port}/s3cret-of-down")
        monkeypatch.setenv("HANGS", hangs.url)
        monkeypatch.setenv("WELL", well.url)
        told_by(home, *({"on": ["failed"], "url_env": name} for name in ("DOWN", "HANGS", "WELL")))
        begin = time.monotonic()
        tell(home, "kitchen", [notice("failed")])
        assert time.monotonic() - begin < GRACE_S + 2
        assert len(well.heard(1)) == 1, "one does not wait for another"
    said, text = capsys.readouterr().err, logged(home)
    assert "url_env DOWN" in said and "s3cret" not in said
    assert "url_env DOWN: NOT delivered: nobody answered" in text and "url_env WELL: delivered" in text
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"url_env": "NOT_THERE"}, "the variable NOT_THERE is not set"),
        ({"url_file": "nowhere"}, "can't be read; write the address there, mode 0600"),
        ({"url_file": "open"}, "its mode is 0644, so others may read it; expected 0600"),
        ({"url_file": "empty"}, "empty; write the address there"),
        ({"url_env": "NONSENSE"}, "its address is none that apprise knows"),
    ],
)
def test_an_address_that_can_not_be_used_is_said(
    target: dict[str, str],
    expected: str,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEADGATE_CONSOLE", "1")
    monkeypatch.setenv("NONSENSE", "no-such-thing://t0p-s3cret")
    home.root.mkdir()
    for name, mode in (("open", 0o644), ("empty", 0o600)):
        (home.root.parent / name).write_text("json://127.0.0.1/t0p-s3cret" if name == "open" else "")
        (home.root.parent / name).chmod(mode)
    told_by(home, {"on": ["failed"], **target})
    tell(home, "kitchen", [notice("failed")])
    said = capsys.readouterr().err
    if "has not answered yet" in said:  # on a busy machine the log says it
        said = logged(home)
    assert expected in said and "s3cret" not in said


def test_a_damaged_record_begins_anew(home: Home) -> None:
    record_file(home, "kitchen").write_text("{")
    assert read(home, "kitchen") == Record()
    tell(home, "kitchen", [notice()])


@pytest.mark.parametrize(
    ("stage", "more", "event", "runs"),
    [
        ("deployed", {}, "deployed", "headgate rollback kitchen (goes back)"),
        ("data_rejected", {}, "rejected", "headgate validate p.yaml"),
        ("model_rejected", {}, "rejected", "headgate status kitchen"),
        ("model_rejected", {"undecided": True}, "inconclusive", "headgate judge kitchen 3"),
        ("held", {}, "inconclusive", "headgate judge kitchen 3"),
        ("deployment_undone", {}, "endpoint_refused", "headgate status kitchen"),
        ("unconfirmed", {}, "failed", "headgate status kitchen"),
        ("rolled_back", {}, "rolled_back", "headgate status kitchen"),
        ("taken_back", {}, "rolled_back", "headgate status kitchen"),
    ],
)
def test_every_ending_that_matters_is_told(stage: Any, more: dict[str, Any], event: str, runs: str) -> None:
    outcome = Outcome(
        stage=stage, name="kitchen", reasons=("because", "and so"), registered={"version": 3}, **more
    )
    made = notice_of(outcome, "p.yaml")
    assert made is not None and (made.event, made.version, made.run) == (event, 3, runs)
    assert made.why == "because (and 1 more)" and made.look == "headgate status kitchen"
    assert made.event in EVENTS


def test_what_needs_nobody_is_not_told() -> None:
    assert notice_of(Outcome(stage="validated", name="kitchen")) is None
    assert notice_of(Outcome(stage="swept", name="kitchen")) is None


def test_a_message_holds_no_password_and_no_line_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    why = "registry http://ann:hunter22@mlflow: down\nrun:  rm -rf /\x1b[31m " + "word " * 100
    text = notice(why=why).body()
    assert "hunter22" not in text and "\x1b" not in text
    assert [line.partition(":")[0] for line in text.splitlines()][1:] == ["look", "run"]
    assert len(text.splitlines()[0]) < 320


def test_the_record_holds_no_address(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        told_by(home, {"on": ["failed"], "url_env": "HOOK"})
        tell(home, "kitchen", [notice("failed")])
        assert somebody.heard(1) and logged(home)
    for file in home.root.rglob("*"):
        assert not file.is_file() or "t0ken" not in file.read_text(errors="replace"), file
    assert json.loads(record_file(home, "kitchen").read_text())["told"]["failed 16"]["folded"] == 0


def test_what_is_told_once_and_got_nowhere_is_told_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    lasting = notice("not_run", once="not_run retrain 5")
    told_by(home, {"on": ["not_run"], "url_env": "HOOK"})
    monkeypatch.delenv("HOOK", raising=False)
    tell(home, "kitchen", [lasting], now=1e9)
    with by_http() as somebody:
        monkeypatch.setenv("HOOK", somebody.url)
        tell(home, "kitchen", [lasting], now=1e9 + 60)
        assert somebody.messages == []
        for hour in (1, 2, 3):
            tell(home, "kitchen", [lasting], now=1e9 + hour * HOUR_S, wait_s=MOST_S)
        assert len(somebody.heard(1)) == 1
