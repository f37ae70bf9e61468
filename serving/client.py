"""Asking an endpoint over HTTP with the standard library alone, with bounded waits.

Does not know where an endpoint comes from. Proxies from the environment are not used.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.files import RecordDamaged, plain_bytes
from serving.errors import NoAnswer as NoAnswer
from serving.errors import VersionRefused as VersionRefused
from serving.errors import WrongUsage
from serving.spec import DeploySpec
from serving.waiting import wait_until


def request(
    url: str,
    method: str,
    route: str,
    body: Mapping[str, Any] | None = None,
    token: str | None = None,
    timeout_s: float = 10.0,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of one reply.

    Raises:
        NoAnswer: nothing listens, the wait is over, or the reply is not HTTP.
    """
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, route, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{url}{route}: no answer ({error or type(error).__name__})") from error
    finally:
        connection.close()


def get(
    url: str, route: str, token: str | None = None, timeout_s: float = 10.0
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of `GET route`.

    Raises:
        NoAnswer: no reply, or one that is not a JSON object.
    """
    status, _, body = request(url, "GET", route, token=token, timeout_s=timeout_s)
    return status, _json_object(body, f"{url}{route}")


def ask(
    url: str,
    texts: str | Sequence[str],
    *,
    everything: bool = False,
    token: str | None = None,
    timeout_s: float = 30.0,
) -> dict[str, Any]:
    """The reply of `POST /predict`: `{"version", "name", "answers": [{head: {"labels": […]}}]}`.

    Args:
        url: base URL.
        texts: one text or many.
        everything: also give the probability of every label, as `"probabilities"` of each head.
        token: bearer token, where the endpoint asks for one.
        timeout_s: longest wait.

    Raises:
        NoAnswer: no reply, or one that is not 200; the message gives status and reason.
    """
    payload: dict[str, Any] = {"texts": texts if isinstance(texts, str) else list(texts)}
    if everything:
        payload["all"] = True
    status, _, body = request(url, "POST", "/predict", payload, token, timeout_s)
    reply = _json_object(body, f"{url}/predict")
    if status != 200:
        reason = reply.get("error", {}).get("message", "no reason given")
        raise NoAnswer(f"{url}/predict: status {status}: {reason}")
    return reply


def wait_for_version(
    url: str,
    version: int,
    *,
    token: str | None = None,
    timeout_s: float = DeploySpec().start_timeout_s,
    poll_s: float = DeploySpec().wait_poll_s,
    old_refusal_s: float = 0.0,
) -> dict[str, Any]:
    """The reply of `GET /version` once the endpoint serves this version, with all of its workers.

    Args:
        url: base URL.
        version: the version to wait for.
        token: bearer token, where the endpoint asks for one.
        timeout_s: longest wait, in seconds.
        poll_s: pause between two questions, in seconds.
        old_refusal_s: a refusal that is seen within so many seconds may be of before, such as that of an
            override that has been renewed since, and does not count.

    Raises:
        VersionRefused: it refused this version; one worker is enough.
        NoAnswer: a worker still serves another one, or nothing, after `timeout_s`.
    """
    seen = "nothing"
    counts_from_s = time.monotonic() + old_refusal_s

    def described() -> dict[str, Any] | None:
        nonlocal seen
        try:
            status, ready = get(url, "/ready", timeout_s=2.0)
            workers = ready.get("workers") or [ready]
            versions = [worker.get("version") for worker in workers]
            if status == 200 and all(serving == version for serving in versions):
                return get(url, "/version", token=token, timeout_s=5.0)[1]
        except NoAnswer as error:
            seen = str(error)
            return None
        for refused in (worker.get("refused") for worker in workers):
            if isinstance(refused, dict) and refused.get("version") == version:
                if time.monotonic() < counts_from_s:
                    break
                raise VersionRefused(f"{url}: version {version} was refused: {refused.get('reason')}")
        seen = f"version {', '.join(str(one) for one in versions)}"
        return None

    found = wait_until(described, timeout_s=timeout_s, poll_s=poll_s)
    if found is None:
        raise NoAnswer(f"{url}: version {version} does not serve after {timeout_s:g} s; seen: {seen}")
    return found


def read_token(path: str | Path | None) -> str | None:
    """The bearer token in a file, without the line's end; None where no file is given.

    Raises:
        serving.errors.WrongUsage: it can't be read, or holds no token.
    """
    if path is None:
        return None
    file = Path(path).expanduser()
    try:
        token = (plain_bytes(file) or b"").decode("ascii").strip()
    except (RecordDamaged, UnicodeDecodeError):
        token = ""
    if not token or not token.isprintable():
        raise WrongUsage(
            f"deploy.token_file {file}: expected a file with one token in ASCII; write it there, or correct "
            "the path in the configuration"
        )
    return token


def _json_object(body: bytes, what: str) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except ValueError as error:
        raise NoAnswer(f"{what}: the reply is not JSON") from error
    if not isinstance(raw, dict):
        raise NoAnswer(f"{what}: the reply is not a JSON object")
    return raw
