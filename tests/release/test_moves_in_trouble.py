"""No version is refused, withdrawn or dropped because an endpoint did not answer; only wrong answers undo."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from model.bundle.reader import Bundle
from release.home import environment
from release.journal import Journal
from release.moves.reconcile import reconcile, resume_deployment
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.releases import open_releases
from release.status import read_status
from release.targets import confirm
from release.targets.golden import MATCHES, golden_trial
from serving.client import NoAnswer, ask, get
from serving.process import control as process
from tests.support.crossed import crossed
from tests.support.move_troubles import (
    DIRECTIONS,
    TROUBLED,
    TROUBLES,
    Direction,
    Met,
    Trouble,
    _stopped,
    flaws,
    token_file,
    write_token,
)
from tests.support.toy_bundle import HEADS, NAME, work_of, write_bundle
from tests.support.toy_release import DEPLOY, SPEC, TEXT, World, check, make_world, promoted, ship

LABELS = {head: list(about.labels) for head, about in HEADS.items()}


@pytest.fixture
def world(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path / "world", store)
    for variable, value in environment(made.home).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(confirm, "STUCK_S", 2.0)
    yield made
    made.stop()


def running(world: World) -> process.EndpointState:
    state = process.status(world.state_file)
    assert state is not None
    return state


def refusals(url: str) -> int:
    """How many questions it refused as too many."""
    page = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    found = re.findall(r'^headgate_requests_total\{route="/predict",status="503"\} ([0-9.e+]+)$', page, re.M)
    return int(sum(map(float, found)))


def slow_candidate(world: World, *, work: int = 0, text_work: int = 0) -> Candidate:
    """A candidate whose passes take time (`write_bundle`)."""
    made = world.candidate()
    shutil.rmtree(made.bundle)
    made = replace(made, bundle_sha256=write_bundle(made.bundle, 77, work=work, text_work=text_work))
    found = Bundle.load(made.bundle, threads=1, verify=False).probabilities([TEXT])
    world.answers[made.bundle_sha256] = {head: rows[0].tolist() for head, rows in found.items()}
    return made


def events(world: World) -> list[tuple[str, int | None]]:
    return [(e.event, e.version) for e in Journal(world.home.journal / f"{NAME}.jsonl").entries()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("trouble", "direction"), crossed(TROUBLES, DIRECTIONS, lambda one: getattr(one, "name", one))
)
def test_a_sound_version_survives(trouble: Trouble, direction: Direction, world: World) -> None:
    met = Met()
    assert flaws(world, trouble, direction, met) == []
    if "clients" in trouble.name:
        assert met.statuses[200] and met.statuses[503], "there was no load to speak of"


def test_an_unconfirmed_deployment_is_asked_about_at_the_next_start(world: World) -> None:
    write_token(world, "a-token-of-a-test")
    spec = replace(TROUBLED, token_file=str(token_file(world)))
    ship(world, world.candidate(), spec)
    write_token(world, "short")
    done = ship(world, world.candidate(), replace(spec, start_timeout_s=2))
    assert (done.end, done.serving) == ("unconfirmed", 2) and "401" in done.reason
    assert events(world)[-1] == ("unconfirmed", 2)
    write_token(world, "a-token-of-a-test")
    assert resume_deployment(world.home, NAME, SPEC, spec) == (
        "version 2, whose deployment was not confirmed, was deployed",
    )
    assert resume_deployment(world.home, NAME, SPEC, spec) == ()


def test_a_busy_endpoint_is_asked_again_when_it_says(world: World) -> None:
    """One request fills it for some seconds, so golden texts are refused with `Retry-After`: that long is
    waited after every refusal, not `wait_poll_s`."""
    spec = replace(TROUBLED, queue_limit=1, max_batch=1)
    assert ship(world, slow_candidate(world, text_work=work_of(100)), spec).deployed
    url = running(world).url

    def fill() -> None:
        while True:
            with contextlib.suppress(NoAnswer):  # it can be the other that is refused
                ask(url, [f"{n}" for n in range(30)], timeout_s=120)
                return
            time.sleep(0.02)

    loaded = threading.Thread(target=fill)
    loaded.start()
    for _ in range(500):
        try:
            ask(url, "is it busy?", timeout_s=60)
        except NoAnswer as error:
            assert (error.status, error.retry_after_s >= 1.0) == (503, True)
            break
        time.sleep(0.05)
    before, began = refusals(url), time.monotonic()
    assert confirm.confirm(open_releases(world.home, NAME, SPEC), spec, 1) == MATCHES
    took_s, refused = time.monotonic() - began, refusals(url) - before
    loaded.join()
    assert refused >= 1 and took_s >= refused * 1.0


def test_an_endpoint_that_hangs_is_started_again_at_its_port(world: World) -> None:
    ship(world, world.candidate(), TROUBLED)
    before = running(world)
    with _stopped(world, Met()):
        assert ship(world, world.candidate(), TROUBLED).deployed
    after = running(world)
    assert (after.port, after.pid == before.pid) == (before.port, False)


def test_a_rollback_to_a_version_that_answers_wrongly_returns_to_the_one_left(world: World) -> None:
    promoted(world, world.spoilt())
    ship(world, world.candidate())
    done = roll_back(world.home, NAME)
    assert (done.end, done.wanted, done.serving) == ("undone", 1, 2) and "golden" in done.reason
    assert events(world)[-3:] == [("not deployed", 1), ("restore begun", 1), ("restored", 2)]
    assert open_releases(world.home, NAME, SPEC).folder.versions() == [1, 2]
    assert check(world) == 2


def test_a_rollback_killed_after_the_refusal_returns_to_the_one_that_was_left(
    world: World, child: Callable[..., int]
) -> None:
    first, second = world.spoilt(), world.candidate()

    def work() -> None:
        promoted(world, first)
        ship(world, second)
        roll_back(world.home, NAME)

    assert child(work, fault="refusal_journalled:kill") == -signal.SIGKILL
    reconcile(world.home, NAME, SPEC)
    assert check(world) == 2


def test_a_damaged_champion_returns_by_the_command_that_status_prints(world: World) -> None:
    """The endpoint, started meanwhile, refused it: that says nothing of the copy that is fetched now."""
    for _ in range(2):
        ship(world, world.candidate())
    graph = open_releases(world.home, NAME, SPEC).folder.version_dir(2) / "bundle" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    process.stop(world.state_file)
    releases = open_releases(world.home, NAME, SPEC)
    state = process.start(
        releases.folder.path, releases.public_key, DEPLOY, world.state_file, world.root / "log"
    )
    ready = get(state.url, "/ready")[1]
    assert (ready["version"], ready["refused"]["version"]) == (1, 2)
    [project] = read_status(world.home.root, NAME)["projects"]
    assert f"`headgate rollback {NAME} --to 2`" in project["champion"]
    done = roll_back(world.home, NAME, 2)
    assert (done.end, done.serving) == ("deployed", 2), done.reason
    assert ask(state.url, "late")["version"] == 2
    reconcile(world.home, NAME, SPEC)
    assert check(world) == 2


@pytest.fixture
def scripted() -> Iterator[tuple[str, list[Any], list[int]]]:
    """(Address, replies to give, texts asked for): a server that answers what it is told."""
    script: list[Any] = []
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(len(body["texts"]))
            status, headers, reply = script.pop(0)
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for key, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", script, asked
    server.shutdown()
    server.server_close()


def answers_of(golden: dict[str, Any], rows: range, version: int = 1) -> dict[str, Any]:
    """What an endpoint replies that serves the bundle."""
    answers = [
        {
            head: {
                "probabilities": [
                    {"label": label, "probability": p}
                    for label, p in zip(LABELS[head], golden["probabilities"][head][row], strict=True)
                ]
            }
            for head in LABELS
        }
        for row in rows
    ]
    return {"version": version, "name": NAME, "answers": answers}


def test_only_an_answer_says_something(scripted: tuple[str, list[Any], list[int]], tmp_path: Path) -> None:
    url, script, asked = scripted
    write_bundle(tmp_path / "bundle", 1)
    golden = json.loads((tmp_path / "bundle" / "golden.json").read_text())
    trial = golden_trial(tmp_path / "bundle", 1)
    script += [
        (503, {"Retry-After": "7"}, {"error": {"message": "too many texts wait"}}),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"<html>slow down</html>"),
        (401, {}, {"error": {"message": "a token"}}),
        (500, {}, b""),
        (200, {}, answers_of(golden, range(3), version=2)),
        (200, {}, {"version": 1, "answers": [{"mood": 3, "topics": 3}]}),
        (200, {}, b"[]"),
    ]
    seen = []
    for _ in range(7):
        with pytest.raises(NoAnswer) as silent:
            trial.ask(url)
        seen.append((silent.value.status, silent.value.retry_after_s))
    assert seen == [(503, 7.0), (429, 0.0), (401, 0.0), (500, 0.0), (200, 0.0), (200, 0.0), (200, 0.0)]
    # Busy: one text of the three at a time. What was answered is not asked again.
    script += [(200, {}, answers_of(golden, range(0, 1))), (503, {}, {})]
    with pytest.raises(NoAnswer):
        trial.ask(url)
    script += [(200, {}, answers_of(golden, range(row, row + 1))) for row in (1, 2)]
    assert trial.ask(url) == MATCHES
    assert asked == [3] + [1] * 10


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda reply: reply["answers"].pop(), "2 answers to 3"),
        (lambda reply: reply["answers"][1].pop("mood"), "heads ['topics'] answered"),
        (lambda reply: reply["answers"][1]["mood"]["probabilities"].pop(), "head mood: labels"),
        (
            lambda reply: reply["answers"][1]["mood"]["probabilities"][0].update(probability=0.123456),
            "head mood, golden text 1",
        ),
        (
            lambda reply: reply["answers"][2]["topics"]["probabilities"][1].update(probability=float("nan")),
            "head topics, golden text 2",
        ),
    ],
)
def test_other_answers_are_named(
    spoil: Callable[[dict[str, Any]], object],
    says: str,
    scripted: tuple[str, list[Any], list[int]],
    tmp_path: Path,
) -> None:
    url, script, _ = scripted
    write_bundle(tmp_path / "bundle", 1)
    reply = answers_of(json.loads((tmp_path / "bundle" / "golden.json").read_text()), range(3))
    spoil(reply)
    script.append((200, {}, reply))
    found = golden_trial(tmp_path / "bundle", 1).ask(url)
    assert found.known == "differs" and says in found.why


def test_a_first_version_whose_endpoint_cannot_start_stays(world: World) -> None:
    """Something else listens at its port: that says nothing of the version."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = ship(world, world.candidate(), replace(DEPLOY, port=port))
        assert (done.end, done.serving, done.url) == ("unconfirmed", 1, None)
        assert "is taken by another process" in done.reason and f"headgate serve {NAME}" in done.reason
    assert "withdrawn" not in [event for event, _ in events(world)]
    assert resume_deployment(world.home, NAME, SPEC, DEPLOY) != ()
    assert check(world) == 1


def test_a_version_that_can_not_be_tried_now_is_not_refused(world: World) -> None:
    """It takes too long here and now, as any version does beside enough other work."""
    quick = replace(DEPLOY, max_answer_ms=30)
    ship(world, world.candidate(), quick)
    slow = slow_candidate(world, work=work_of(110))
    done = ship(world, slow, replace(quick, start_timeout_s=12))
    assert (done.end, done.serving) == ("unconfirmed", 2) and "one text takes" in done.reason
    assert open_releases(world.home, NAME, SPEC).folder.versions() == [1, 2]
    patient = replace(DEPLOY, max_answer_ms=60_000, start_timeout_s=60)
    (said,) = resume_deployment(world.home, NAME, SPEC, patient)
    assert "was deployed" in said and check(world) == 2
