"""Asking an endpoint over HTTP with the standard library alone, with bounded waits.

Does not know where an endpoint comes from. Proxies from the environment are not used.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from serving.bearer import read_token as read_token
from serving.errors import NoAnswer as NoAnswer
from serving.errors import VersionRefused as VersionRefused
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
    """Status, headers (names in lower case) and body of one reply. A path in `url` stands before the route.

    Raises:
        NoAnswer: nothing listens, the wait is over, or the reply is not HTTP.
    """
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        path = parts.path.rstrip("/") + route
        connection.request(method, path, None if body is None else json.dumps(body), headers)
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
    return status, _json_object(body, f"{url}{route}", status)


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
    status, headers, body = request(url, "POST", "/predict", payload, token, timeout_s)
    if status == 200:
        return _json_object(body, f"{url}/predict", status)
    wait_s = headers.get("retry-after", "")
    raise NoAnswer(
        f"{url}/predict: status {status}: {_reason(body)}",
        status=status,
        retry_after_s=float(wait_s) if wait_s.isascii() and wait_s.isdigit() else 0.0,
    )


def see_version(url: str, version: int, *, refused_since: datetime | None = None) -> None:
    """Return if the endpoint serves this version with all of its workers. Needs no token.

    Args:
        url: base URL.
        version: the version that should serve.
        refused_since: a refusal of before may have been mended since, and says nothing.

    Raises:
        VersionRefused: it refused this version; one worker is enough.
        NoAnswer: it does not answer, or a worker still serves another one, or nothing.
    """
    status, ready = get(url, "/ready", timeout_s=2.0)
    workers = [worker for worker in ready.get("workers") or [ready] if isinstance(worker, dict)]
    versions = [worker.get("version") for worker in workers]
    if status == 200 and versions and all(serving == version for serving in versions):
        return
    for refused in (worker.get("refused") for worker in workers):
        if (
            isinstance(refused, dict)
            and refused.get("version") == version
            and (refused_since is None or _at(refused.get("since")) >= refused_since)
        ):
            raise VersionRefused(
                f"{url}: version {version} was refused: {refused.get('reason')}",
                known=refused.get("known", True),
            )
    raise NoAnswer(
        f"{url}: version {version} does not serve; seen: version {', '.join(map(str, versions))}",
        status=status,
    )


def wait_for_version(
    url: str,
    version: int,
    *,
    token: str | None = None,
    timeout_s: float = DeploySpec().start_timeout_s,
    poll_s: float = DeploySpec().wait_poll_s,
) -> dict[str, Any]:
    """The reply of `GET /version` once the endpoint serves this version, with all of its workers.

    Args:
        url: base URL.
        version: the version to wait for.
        token: bearer token, where the endpoint asks for one.
        timeout_s: longest wait, in seconds.
        poll_s: pause between two questions, in seconds.

    Raises:
        VersionRefused: it refused this version; one worker is enough.
        NoAnswer: a worker still serves another one, or nothing, after `timeout_s`.
    """
    seen = ""

    def described() -> dict[str, Any] | None:
        nonlocal seen
        try:
            see_version(url, version)
            return get(url, "/version", token=token, timeout_s=5.0)[1]
        except VersionRefused:
            raise
        except NoAnswer as error:
            seen = str(error)
            return None

    found = wait_until(described, timeout_s=timeout_s, poll_s=poll_s)
    if found is None:
        raise NoAnswer(f"{seen} (after {timeout_s:g} s)")
    return found


def _at(text: object) -> datetime:
    """The time in a reply; the beginning of all time where it can't be read."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _reason(body: bytes) -> str:
    """Why a request was refused, from its reply; of a proxy's page, nothing."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _json_object(body: bytes, what: str, status: int) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except ValueError as error:
        raise NoAnswer(f"{what}: the reply is not JSON", status=status) from error
    if not isinstance(raw, dict):
        raise NoAnswer(f"{what}: the reply is not a JSON object", status=status)
    return raw
