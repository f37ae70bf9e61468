"""What every request and reply goes through: token, version header, clock, and the reply when all else fails.

A plain ASGI layer around the application. Does not know routes' meanings, bodies or models.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from serving.http.replies import error_reply

VERSION_HEADER = "X-Headgate-Version"
"""Reply header with the version that answered, or `none`."""

HEALTH_NAMES = ("/healthz", "/livez", "/ping")
"""Other names of `/health`: whether the process is alive."""
READY_NAMES = ("/readyz",)
"""Other names of `/ready`."""
OPEN_ROUTES = frozenset(
    {"/health", "/ready", *HEALTH_NAMES, *READY_NAMES, "/v2/health/live", "/v2/health/ready"}
)
"""Routes that need no token: what supervisors and load balancers ask."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PAUSE_KEY = "pause_s"
"""In the state of a request's scope: for how long the connection is to read nothing more, in seconds."""
PAUSE_S = 0.1
"""How long nothing more is read from a client that was told to come back later: one that asks again at once,
and again, would take the time that answers need."""

log = logging.getLogger("serving.requests")

FAILED = error_reply("internal", "the endpoint failed; see its log")
"""The body of every 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask, and where."""

    token: str | None = None
    """Bearer token that all but `OPEN_ROUTES` need; None asks for none."""
    root_path: str = ""
    """Prefix that a proxy may have left on the paths."""


class Envelope:
    """Wraps the application.

    Args:
        app: what answers.
        access: who may ask, and where.
        version: the version that serves now, or None.
        draining: whether the endpoint is ending; replies then close their connection.
        on_reply: called with route, status and seconds after every reply.
    """

    def __init__(
        self,
        app: App,
        *,
        access: Access,
        version: Callable[[], int | None],
        draining: Callable[[], bool],
        on_reply: Callable[[str, int, float], None],
    ) -> None:
        self._app = app
        self._token = None if access.token is None else access.token.encode()
        self._root_path = access.root_path
        self._version = version
        self._draining = draining
        self._on_reply = on_reply

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status, complete, route = 0, False, self._route(scope["path"])

        async def send_marked(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._marked(status, message.get("headers", []))
                if status == 503 and route not in OPEN_ROUTES:
                    scope.setdefault("state", {})[PAUSE_KEY] = PAUSE_S
            else:
                complete = not message.get("more_body", False)
            await send(message)

        try:
            if route in OPEN_ROUTES or self._may_pass(scope):
                await self._app(scope, receive, send_marked)
            else:
                body = error_reply("unauthorized", "a valid bearer token is needed")
                await _reply(send_marked, 401, body, [(b"www-authenticate", b"Bearer")])
        except Exception:
            log.exception("request failed", extra={"status_sent": status})
            if not status:
                await _reply(send_marked, 500, FAILED)
            elif not complete:
                raise  # half a reply is out: only closing the connection shows the client that it is broken
        finally:
            self._on_reply(route, status, time.perf_counter() - begin)

    def _route(self, path: str) -> str:
        bare = path.removeprefix(self._root_path)
        return bare if bare.startswith("/") else path

    def _marked(self, status: int, headers: Any) -> list[tuple[bytes, bytes]]:
        marked = list(headers)
        name = VERSION_HEADER.lower().encode()
        # Whoever has no token is not told what serves.
        if status != 401 and not any(key.lower() == name for key, _ in marked):
            marked.append((name, str(self._version() or "none").encode()))
        if self._draining():
            marked = [(key, value) for key, value in marked if key.lower() != b"connection"]
            marked.append((b"connection", b"close"))
        return marked

    def _may_pass(self, scope: MutableMapping[str, Any]) -> bool:
        if self._token is None:
            return True
        given = [value for key, value in scope["headers"] if key == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").partition(b" ")
        # Constant time: the duration of a refusal must not show how much of the token was right.
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


async def _reply(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    sized = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized + (headers or [])})
    await send({"type": "http.response.body", "body": body})
