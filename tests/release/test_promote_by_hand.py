"""A person promotes: what passed as it is, what did not only with a word that is signed, shown and ends."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from flows.cli.commands import main
from flows.cli.override import show_override
from release.home import Home
from release.journal import Journal
from release.moves import promote_by_hand as by_hand
from release.moves.promote_by_hand import BadDuration, duration, promote_by_hand
from release.moves.reconcile import reconcile
from release.registry.candidate import Candidate
from release.registry.client import VERDICT_TAG, open_registry
from release.registry.judgement import (
    JUDGEMENT_FILE,
    JUDGEMENT_PATH,
    NotJudged,
    read_judgement,
    sign_judgement,
)
from release.registry.register import RegisteredVersion, register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from release.status import read_status
from serving.client import get
from serving.spec import DeploySpec
from serving.store.manifest import ReleaseRefused
from serving.store.override import OVERRIDE_FILE
from serving.store.release_folder import PromotionRefused
from serving.store.signing import ensure_key_pair

SPEC = RegistrySpec()
Make = Callable[..., Candidate]
Until = Callable[..., None]


@pytest.fixture
def register(home: Home, candidate: Make, deploy_spec: DeploySpec) -> Callable[..., RegisteredVersion]:
    """Registers a candidate: `register(seed, "fail")`."""
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))
    return lambda seed, outcome="pass": register_version(home, "toy", SPEC, candidate(seed, outcome))


def champion(home: Home) -> int | None:
    pointed = open_registry(home, "toy", SPEC).pointed()
    return pointed.aliases.get("champion") if pointed is not None else None


def last_events(home: Home, count: int) -> list[tuple[str, int | None]]:
    entries = Journal(home.journal / "toy.jsonl").entries()[-count:]
    return [(entry.event, entry.version) for entry in entries]


def test_an_override_ships_shows_and_ends(
    home: Home, register: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a refusal to an override that expires, with one endpoint through all of it."""
    register(1)
    url = promote_by_hand(home, "toy", 1).outcome.url
    assert url is not None and get(url, "/version")[1]["override"] is None

    register(2, "inconclusive")
    with pytest.raises(PromotionRefused, match=r"verdict is inconclusive\n  • As good as alone") as no:
        promote_by_hand(home, "toy", 2)
    assert "--override" in str(no.value)
    assert champion(home) == 1
    assert last_events(home, 1) == [("promotion refused", 2)]

    report = home.reports / "run-2" / "release.html"
    report.parent.mkdir(parents=True)
    report.write_text('<main>\n<section id="verdict"></section></main>')
    monkeypatch.setattr(by_hand, "duration", lambda text: timedelta(seconds=10))
    promoted = promote_by_hand(home, "toy", 2, reason="for the <demo>", expires="7d")
    done = promoted.outcome
    assert promoted.override is not None
    show_override(home, promoted.run, promoted.override)
    assert (done.deployed, done.serving, done.url, champion(home)) == (True, 2, url, 2)
    assert last_events(home, 3) == [("promotion begun", 2), ("promoted", 2), ("deployed", 2)]
    shown = get(url, "/version")[1]
    assert shown["outcome"] == "inconclusive"
    assert shown["override"]["reason"] == "for the <demo>" and not shown["override"]["expired"]
    (project,) = read_status(home.root, "toy")["projects"]
    assert "BY OVERRIDE of" in project["champion"] and "for the <demo>" in project["champion"]
    page = report.read_text()
    assert page.index("for the &lt;demo&gt;") < page.index('<section id="verdict">')
    registry = open_registry(home, "toy", SPEC)
    run_id = registry.client.get_model_version("toy", "2").run_id
    kept = [file.path for file in registry.client.list_artifacts(run_id, "report")]
    assert kept == ["report/release.html"]

    expires = datetime.fromisoformat(shown["override"]["expires"])
    while datetime.now(UTC) < expires:
        time.sleep(0.05)
    deadline = time.monotonic() + 20
    while get(url, "/ready")[1]["version"] != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ready = get(url, "/ready")[1]
    assert ready["refused"]["version"] == 2 and "expired" in ready["refused"]["reason"]
    (project,) = read_status(home.root, "toy")["projects"]
    assert "REFUSED" in project["champion"] and "expired" in project["champion"]

    # Renewed, it serves again; once that is over too, the next start makes version 1 the champion.
    renewed = promote_by_hand(home, "toy", 2, reason="once more", expires="7d").outcome
    assert renewed.deployed and get(url, "/version")[1]["override"]["reason"] == "once more"
    (open_releases(home, "toy", SPEC).folder.version_dir(2) / OVERRIDE_FILE).unlink()
    time.sleep(10.2)
    assert "version 1 serves instead" in " ".join(reconcile(home, "toy", SPEC))
    assert champion(home) == 1


def test_what_a_person_may_not_do_is_refused_and_journalled(
    home: Home, register: Callable[..., Any], candidate: Make, tmp_path: Path
) -> None:
    for seed, outcome in ((1, "fail"), (2, "pass"), (3, "fail")):
        register(seed, outcome)
    other = candidate(4)
    releases = open_releases(home, "toy", SPEC)
    registry = releases.registry
    with pytest.raises(PromotionRefused, match="without an override"):
        promote_by_hand(home, "toy", 2, reason="no need")
    with pytest.raises(PromotionRefused, match="needs a reason"):
        promote_by_hand(home, "toy", 3, reason="  ")
    with pytest.raises(
        PromotionRefused, match=r"expected one line of text: fine\\n  champion   version 9\\x1b"
    ):
        promote_by_hand(home, "toy", 3, reason="fine\n  champion   version 9\x1b[2J")
    # A verdict that was edited in the registry is not believed, however the tag reads.
    registry.client.set_model_version_tag("toy", "3", VERDICT_TAG, "pass")
    with pytest.raises(PromotionRefused, match="verdict is fail"):
        promote_by_hand(home, "toy", 3)
    # Nor a record that somebody else signed, nor the record of another version.
    run_id = registry.client.get_model_version("toy", "3").run_id
    forger, _ = ensure_key_pair(tmp_path / "forger")
    sign_judgement(registry, forger, run_id, 3, other, {})
    with pytest.raises(NotJudged, match="does not fit"):
        promote_by_hand(home, "toy", 3)
    sign_judgement(registry, releases.private_key, run_id, 2, other, {})
    with pytest.raises(NotJudged, match="is of version 2"):
        promote_by_hand(home, "toy", 3)
    for text in ("", "{}", "[]", '{"record": "{}", "signature": "AA=="}', '{"record": 3}'):
        registry.client.log_text(run_id, text, f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}")
        with pytest.raises(NotJudged):
            promote_by_hand(home, "toy", 3)
    # The bytes in the registry are not those that were judged.
    for graph in home.mlflow.rglob("model.onnx"):
        graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(ReleaseRefused, match=r"model\.onnx"):
        promote_by_hand(home, "toy", 2)
    assert champion(home) is None
    assert {event for event, _ in last_events(home, 11)} == {"promotion refused"}


def test_an_override_is_signed_by_the_account_that_gave_it(
    home: Home, register: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    register(1, "fail")
    override = promote_by_hand(home, "toy", 1, reason="for a day", expires="1d").override
    assert override is not None and override.by == pwd.getpwuid(os.getuid()).pw_name


def test_an_older_version_does_not_return_by_an_override(home: Home, register: Callable[..., Any]) -> None:
    register(1, "fail")
    register(2)
    promote_by_hand(home, "toy", 2)
    with pytest.raises(PromotionRefused, match="older than version 2"):
        promote_by_hand(home, "toy", 1, reason="I liked it better")
    assert champion(home) == 2


@pytest.mark.parametrize("change", ["reason", "expires", "bundle_sha256", "version"])
def test_an_override_that_was_edited_is_void(change: str, home: Home, register: Callable[..., Any]) -> None:
    from serving.store.manifest import verify_release

    register(1, "fail")
    promote_by_hand(home, "toy", 1, reason="for a day", expires="1d")
    releases = open_releases(home, "toy", SPEC)
    folder = releases.folder.version_dir(1)
    assert verify_release(folder, releases.public_key, "toy").override is not None
    envelope = json.loads((folder / OVERRIDE_FILE).read_text())
    record = json.loads(envelope["record"])
    record[change] = {"expires": "2999-01-01T00:00:00+00:00", "version": 2}.get(change, "x" * 64)
    (folder / OVERRIDE_FILE).write_text(json.dumps({**envelope, "record": json.dumps(record)}))
    with pytest.raises(ReleaseRefused, match="override is void"):
        verify_release(folder, releases.public_key, "toy")


def test_the_record_says_how_it_was_judged(home: Home, candidate: Make) -> None:
    made = replace(candidate(1, "fail"), evidence={"threads": 2}, configuration={"project": "toy"})
    register_version(home, "toy", SPEC, made)
    releases = open_releases(home, "toy", SPEC)
    judged = read_judgement(releases.registry, releases.public_key, 1)
    assert (judged.verdict, judged.bundle_sha256) == (made.verdict, made.bundle_sha256)
    assert (judged.evidence, judged.configuration) == ({"threads": 2}, {"project": "toy"})
    assert "MLmodel" in judged.model_files and "artifacts/bundle/model.onnx" in judged.model_files


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("30d", timedelta(days=30)),
    ],
)
def test_durations(text: str, span: timedelta) -> None:
    assert duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "1.5d", "31d", "5w", "7 d", "7D", "٧d", "1d1h", "99999w", "inf"]
)
def test_malformed_durations_are_refused(text: str) -> None:
    with pytest.raises(BadDuration, match=r"expires: seen"):
        duration(text)


@given(st.text(max_size=8))
def test_a_duration_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadDuration):
        assert timedelta(0) < duration(text) <= timedelta(days=30)


def test_the_command_says_what_happened(home: Home, register: Callable[..., Any]) -> None:
    register(1, "fail")
    run = CliRunner().invoke
    where = ["--home", str(home.root)]
    home.releases("toy").mkdir(parents=True, exist_ok=True)
    refused = run(main, ["promote", "toy", "1", *where])
    assert refused.exit_code == 1 and "As good as alone" in refused.output
    malformed = run(main, ["promote", "toy", "1", "--override", "x", "--expires", "soon", *where])
    assert malformed.exit_code == 2 and "expires: seen 'soon'" in malformed.output
    unknown = run(main, ["promote", "toy", "9", *where])
    assert unknown.exit_code == 1 and "version 9" in unknown.output
    done = run(main, ["promote", "toy", "1", "--override", "a demonstration", "--expires", "2h", *where])
    assert done.exit_code == 0 and "serves by an override that ends in 2h" in done.output
    shown = run(main, ["status", "toy", *where])
    assert "BY OVERRIDE of" in shown.output and "a demonstration" in shown.output
