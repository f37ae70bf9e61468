"""The endpoint as a process: starting, finding, asking, swapping under load, draining, stopping."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving import client
from serving.process import control as process
from serving.process.job import OF_THE_DEPLOYMENT, endpoint_job, job_file, read_job
from serving.processes import process_start
from serving.spec import DeploySpec
from tests.support.load import Client
from tests.support.toy_bundle import break_word, work_of


def test_starts_once_is_found_and_stops(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    state = start()
    state_file = shop.root / "endpoints" / "0.json"
    assert process.status(state_file) == state
    log = shop.root / "log"
    again = process.start(shop.folder.path, shop.public_key, spec, state_file, log)
    assert again == state
    assert client.ask(state.url, "rain")["version"] == 1
    begin = time.monotonic()
    assert process.stop(state_file)
    assert time.monotonic() - begin < 5
    assert process.status(state_file) is None
    assert not state_file.exists()
    assert not process.stop(state_file)
    with pytest.raises(client.NoAnswer):
        client.get(state.url, "/health")


def test_the_job_file_holds_all_that_the_process_reads_and_names_the_project(
    shop: Any, start: Any, spec: Any
) -> None:
    shop.release(1)
    state = start(spec)
    state_file = shop.root / "endpoints" / "0.json"
    wanted = endpoint_job(shop.folder.path, shop.public_key, spec, state_file)
    assert read_job(job_file(state_file)) == wanted
    shown = psutil.Process(state.pid).cmdline()
    assert shown[-3:] == ["-m", "serving", str(state_file.with_suffix(".job"))]
    process.stop(state_file)
    assert not job_file(state_file).exists()


def test_a_job_differs_by_what_the_process_reads_and_by_nothing_else(shop: Any, spec: Any) -> None:
    changes: dict[str, Any] = {
        field.name: {"a": "b"} if field.name == "target_config" else changed(getattr(spec, field.name))
        for field in dataclasses.fields(DeploySpec)
    }
    same = {
        name
        for name, value in changes.items()
        if endpoint_job(
            shop.folder.path, shop.public_key, dataclasses.replace(spec, **{name: value}), shop.root / "s"
        )
        == endpoint_job(shop.folder.path, shop.public_key, spec, shop.root / "s")
    }
    assert same == set(OF_THE_DEPLOYMENT)
    assert read_job(Path(command_of(shop, spec)[-1])).deploy.threads == spec.threads


def changed(value: Any) -> Any:
    """Another value of its type."""
    if isinstance(value, bool):
        return not value
    return "other" if value is None or isinstance(value, str) else value + 1


def test_help_describes_the_job_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    assert '"public_key"' in done.stdout and "--listen-fd" not in done.stdout


def test_listens_on_loopback_only(shop: Any, start: Any) -> None:
    shop.release(1)
    assert start().host == "127.0.0.1"


def test_taken_port_is_one_clear_message(shop: Any, spec: Any) -> None:
    shop.release(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = command_of(shop, dataclasses.replace(spec, port=port))
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert f"port {port} on 127.0.0.1 is taken" in done.stderr
        with pytest.raises(process.EndpointError, match="is taken by another process"):
            process.start(
                shop.folder.path,
                shop.public_key,
                dataclasses.replace(spec, port=port),
                shop.root / "s.json",
                shop.root / "log",
            )
    assert not (shop.root / "s.json").exists()


def command_of(shop: Any, spec: Any) -> list[str]:
    """The command that runs the endpoint of the shop; its job file is written."""
    job = endpoint_job(shop.folder.path, shop.public_key, spec, shop.root / "s.json")
    return process.serve_command(job)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"public_key": "missing.pub"}, "public key missing.pub: can't be read"),
        ({"public_key": None}, "public_key: Input is not a valid path"),
        ({"releases": ...}, "releases: Field required"),
        ({"threads": 2}, "threads: Unexpected keyword argument"),
        ({"deploy": {"token_file": "missing.token"}}, "token file"),
        ({"deploy": {"threads": 0}}, "deploy.threads: Input should be greater than or equal to 1, seen 0"),
        ({"deploy": {"port": 70000}}, "deploy.port: Input should be less than or equal to 65535, seen 70000"),
        ({"deploy": {"poll_s": "nan"}}, "deploy.poll_s: Input should be"),
        ({"deploy": {"theads": 1}}, "deploy.theads: Unexpected keyword argument"),
        (None, "job file"),
        ("{", "Invalid JSON"),
    ],
)
def test_wrong_usage_ends_with_2(shop: Any, spec: Any, change: Any, reason: str) -> None:
    *command, path = command_of(shop, spec)
    raw = json.loads(Path(path).read_text())
    if isinstance(change, dict):
        raw = {key: value for key, value in {**raw, **change}.items() if value is not ...}
        Path(path).write_text(json.dumps(raw))
    elif change is None:
        Path(path).unlink()
    else:
        Path(path).write_text(change)
    command.append(path)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_start_without_a_good_version_says_why_and_leaves_nothing(shop: Any, spec: Any) -> None:
    (shop.release(1) / "release.sig").unlink()
    state_file = shop.root / "s.json"
    impatient = dataclasses.replace(spec, start_timeout_s=6)
    with pytest.raises(process.EndpointError, match=r"release\.sig"):
        process.start(shop.folder.path, shop.public_key, impatient, state_file, shop.root / "log")
    assert process.status(state_file) is None


def test_another_process_with_the_id_of_an_endpoint_is_never_signalled(shop: Any) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        ticks = process_start(other.pid)
        assert ticks is not None
        # The id of an endpoint that is gone, reused by another process.
        state = process.EndpointState(
            pid=other.pid, start_ticks=ticks - 1, host="127.0.0.1", port=1, name="toy", started=""
        )
        state_file = shop.root / "s.json"
        state_file.write_text(json.dumps(dataclasses.asdict(state)))
        assert process.status(state_file) is None
        assert not process.stop(state_file)
        time.sleep(0.1)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_token_is_asked_for_where_one_is_set(shop: Any, start: Any, spec: Any) -> None:
    shop.release(1)
    token_file = shop.root / "token"
    token_file.write_text("a-long-enough-token-4711\n")
    token_file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    url = start(dataclasses.replace(spec, token_file=str(token_file))).url
    token = client.read_token(token_file)
    assert client.ask(url, "rain", token=token)["version"] == 1
    for wrong in (None, "", "a-long-enough-token-4712", "a-long-enough-token-4711x", "ä"):
        headers = {} if wrong is None else {"Authorization": f"Bearer {wrong}".encode()}
        for route in ("/predict", "/version", "/metrics", "/nowhere"):
            assert _raw(url, route, headers)[0] == 401
    assert _raw(url, "/predict", {"Authorization": f"Basic {token}".encode()})[0] == 401
    assert client.get(url, "/health")[0] == client.get(url, "/ready")[0] == 200


def _raw(url: str, route: str, headers: dict[str, Any]) -> tuple[int, bytes]:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", route, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_token_that_others_may_read_is_refused(shop: Any, spec: Any) -> None:
    token_file = shop.root / "token"
    token_file.write_text("a-long-enough-token-4711")
    token_file.chmod(0o644)
    command = command_of(shop, dataclasses.replace(spec, token_file=str(token_file)))
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "0644" in done.stderr) == (2, True)
    assert "4711" not in done.stderr


def test_swaps_under_load_lose_nothing_and_mix_nothing(
    shop: Any, start: Any, until: Callable[..., None]
) -> None:
    shop.release(1)
    state = start()
    clients = [Client(state.url, keep_alive=keep_alive) for keep_alive in (True, True, False)]
    for one in clients:
        one.start()
    good = [1]
    for version in range(2, 10):
        folder = shop.stage(version)
        if version % 3 == 0:
            (folder / "release.sig").unlink()
            shop.point_at(version)
            until(lambda v=version: refused_version(state.url) == v)
            continue
        good.append(version)
        shop.folder.promote(version, shop.private_key)
        client.wait_for_version(state.url, version, timeout_s=10)
    shop.folder.roll_back(shop.private_key, 1)
    client.wait_for_version(state.url, 1, timeout_s=10)
    time.sleep(0.2)
    for one in clients:
        one.end()
    seen = [entry for one in clients for entry in one.seen]
    assert not [one.lost for one in clients if one.lost]
    assert {status for status, _, _ in seen} == {200}
    versions = {version for _, version, _ in seen}
    assert versions >= set(good)
    for version in versions:
        wanted = pytest.approx(shop.probabilities(version, "hello good day")["mood"], abs=1e-4)
        assert all(mood == wanted for _, named, mood in seen if named == version)


def test_a_request_in_flight_finishes_on_the_version_that_it_started_with(
    shop: Any, start: Any, spec: Any
) -> None:
    shop.bundle(1, work=work_of(30))
    shop.release(1)
    url = start(dataclasses.replace(spec, max_batch=1)).url
    replies: list[tuple[dict[str, Any], float]] = []

    def ask() -> None:
        reply = client.ask(url, ["hello good day"] * 200, everything=True)
        replies.append((reply, time.monotonic()))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    shop.release(2)
    client.wait_for_version(url, 2, timeout_s=10)
    swapped = time.monotonic()
    assert client.request(url, "GET", "/health")[1]["x-headgate-version"] == "2"
    asking.join(60)
    reply, answered = replies[0]
    assert answered > swapped, "the test is too quick to show anything"
    assert reply["version"] == 1
    wanted = pytest.approx(sorted(shop.probabilities(1, "hello good day")["mood"]), abs=1e-4)
    for answer in reply["answers"]:
        assert sorted(entry["probability"] for entry in answer["mood"]["probabilities"]) == wanted
    assert client.ask(url, "rain")["version"] == 2


def refused_version(url: str) -> Any:
    ready = client.get(url, "/ready")[1]
    return ready["refused"] and ready["refused"]["version"]


def log_once_it_says(words: str, file: Path, wait_s: float = 10) -> str:
    """A reply goes out first, the line about it is written after."""
    deadline = time.monotonic() + wait_s
    while words not in file.read_text():
        assert time.monotonic() < deadline, f"{words!r} was never logged"
        time.sleep(0.05)
    return file.read_text()


def test_bad_candidate_is_reported_everywhere(shop: Any, start: Any) -> None:
    shop.release(1)
    url = start().url
    (shop.stage(2) / "release.sig").unlink()
    shop.point_at(2)
    with pytest.raises(client.VersionRefused, match=r"version 2 was refused: release\.sig"):
        client.wait_for_version(url, 2, timeout_s=10)
    status, ready = client.get(url, "/ready")
    assert (status, ready["version"], ready["refused"]["version"]) == (200, 1, 2)
    text = client.request(url, "GET", "/metrics")[2].decode()
    assert 'headgate_refused{worker="0"} 1.0' in text
    assert "headgate_refusals_total 1.0" in text
    log = log_once_it_says("version refused", shop.root / "endpoints" / "0.log")
    assert any(json.loads(line)["event"] == "version refused" for line in log.splitlines())
    assert client.ask(url, "rain")["version"] == 1


def test_failure_inside_the_model_is_a_small_500_and_nothing_more(shop: Any, start: Any) -> None:
    bundle, _ = shop.bundle(1)
    break_word(bundle, "help")
    shop.seal(bundle)
    shop.release(1)
    url = start().url
    status, headers, body = client.request(url, "POST", "/predict", {"texts": "help help"})
    assert (status, headers["x-headgate-version"]) == (500, "1")
    assert json.loads(body)["error"]["code"] == "internal"
    assert len(body) < 100
    log = log_once_it_says("NonFiniteOutput", shop.root / "endpoints" / "0.log")
    assert "help" not in log
    assert client.ask(url, "rain")["version"] == 1


def test_ends_on_sigterm_with_every_accepted_request_answered(shop: Any, spec: Any) -> None:
    shop.bundle(1, work=work_of(6))
    shop.release(1)
    state_file = shop.root / "s.json"
    command = command_of(shop, spec)
    with (shop.root / "log").open("wb") as log:
        endpoint = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        state = None
        while state is None or client.get(state.url, "/ready")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            state = process.status(state_file)
        clients = [
            Client(state.url, keep_alive=keep_alive) for keep_alive in (True, True, True, False, False, False)
        ]
        for one in clients:
            one.start()
        time.sleep(0.4)
        os.kill(endpoint.pid, signal.SIGTERM)
        assert endpoint.wait(15) == 0
        for one in clients:
            one.join(10)
            assert not one.is_alive()
    finally:
        endpoint.kill()
        endpoint.wait()
    assert not [one.lost for one in clients if one.lost]
    assert {status for one in clients for status, _, _ in one.seen} <= {200, 503}
    assert sum(len(one.seen) for one in clients) >= 6
    assert not state_file.exists()


def test_overload_is_answered_with_503_and_when_to_return(shop: Any, start: Any, spec: Any) -> None:
    shop.bundle(1, work=work_of(6))
    shop.release(1)
    url = start(dataclasses.replace(spec, queue_limit=2, max_batch=1)).url
    replies: list[tuple[int, dict[str, str]]] = []

    def ask() -> None:
        status, headers, _ = client.request(url, "POST", "/predict", {"texts": "rain"}, timeout_s=20)
        replies.append((status, headers))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {status for status, _ in replies} == {200, 503}
    assert all(int(headers["retry-after"]) >= 1 for status, headers in replies if status == 503)
    assert client.ask(url, "rain")["version"] == 1
