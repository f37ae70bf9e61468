"""Behind Debian's nginx and haproxy, as `deploy/` configures them: a prefix, IPv6, kept connections."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import client
from tests.support.crossed import crossed

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/models/support"
KEPT_S = 1
"""How long the proxies keep a connection here, in seconds."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def changed(name: str, endpoint: str, port: int) -> str:
    """A configuration of `deploy/`, with this endpoint behind it and short times."""
    text = (ROOT / "deploy" / name).read_text()
    for before, after in (
        (r"127\.0\.0\.1:8808", endpoint),
        (r"listen 8080", f"listen 127.0.0.1:{port}"),
        (r"listen \[::\]:8080", f"listen [::1]:{port}"),
        (r"bind :8080", f"bind 127.0.0.1:{port}"),
        (r"bind \[::\]:8080 v6only", f"bind [::1]:{port}"),
        (r"keepalive_timeout 60s", f"keepalive_timeout {KEPT_S}s"),
        (r"timeout http-keep-alive 60s", f"timeout http-keep-alive {KEPT_S}s"),
    ):
        text = re.sub(before, after, text)
    return text


def nginx(folder: Path, endpoint: str, port: int) -> list[str]:
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    own = changed("nginx.conf", endpoint, port)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}\n{own} }}\n"
    )
    return ["nginx", "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path, endpoint: str, port: int) -> list[str]:
    (folder / "haproxy.cfg").write_text(changed("haproxy.cfg", endpoint, port))
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


@contextlib.contextmanager
def running(make: Callable[[Path, str, int], list[str]], folder: Path, endpoint: str) -> Iterator[int]:
    """A proxy in front of an endpoint; gives its port."""
    if shutil.which(make.__name__) is None:
        pytest.skip(f"{make.__name__} is not installed (Debian: apt-get install nginx-light haproxy)")
    port = free_port()
    with (folder / "out").open("wb") as out:
        proxy = subprocess.Popen(make(folder, endpoint, port), stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 10
        while not answers(f"http://127.0.0.1:{port}{PREFIX}"):
            assert time.monotonic() < deadline and proxy.poll() is None, (folder / "out").read_text()
            time.sleep(0.1)
        yield port
    finally:
        proxy.terminate()
        try:
            proxy.wait(5)
        except subprocess.TimeoutExpired:
            proxy.kill()
            proxy.wait()


def answers(url: str) -> bool:
    try:
        return client.get(url, "/ready", timeout_s=2)[0] == 200
    except client.NoAnswer:
        return False


@pytest.mark.parametrize(
    ("make", "host"),
    crossed([nginx, haproxy], ["127.0.0.1", "::1"], lambda one: getattr(one, "__name__", one)),
)
def test_a_proxy_with_a_prefix_never_meets_a_connection_that_is_being_closed(
    shop: Any,
    start: Any,
    spec: Any,
    tmp_path: Path,
    make: Callable[[Path, str, int], list[str]],
    host: str,
) -> None:
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    shop.release(1)
    state = start(dataclasses.replace(spec, host=host, root_path=PREFIX, keep_alive_s=2.0 * KEPT_S))
    with running(make, tmp_path, state.url.removeprefix("http://")) as port:
        url = f"http://127.0.0.1:{port}{PREFIX}"
        assert client.ask(url, ["rain", "sun"])["version"] == 1
        assert client.get(url, "/openapi.json")[1]["servers"] == [{"url": PREFIX}]
        if host == "::1":
            assert client.ask(f"http://[::1]:{port}{PREFIX}", "rain")["version"] == 1
        statuses: list[int] = []

        def ask(pauses_s: list[float]) -> None:
            for pause_s in pauses_s:
                statuses.append(client.request(url, "POST", "/predict", {"texts": "rain"})[0])
                time.sleep(pause_s)

        # Pauses around the time at which the proxy lets go of its connection.
        asking = [
            threading.Thread(target=ask, args=([KEPT_S + step / 50 for step in steps],))
            for steps in (range(-3, 3), range(-1, 5), range(1, 7), [-40] * 20)
        ]
        for one in asking:
            one.start()
        for one in asking:
            one.join(30)
        assert statuses == [200] * (3 * 6 + 20)
