"""Reading a request's body: bounded in bytes and in time, then as strict JSON.

Every refusal is a fixed sentence with figures of the endpoint: nothing that was sent is ever sent back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request may hold."""

    max_body_bytes: int = 1_048_576
    """Largest body, in bytes."""
    max_texts: int = 256
    """Most texts."""
    max_chars: int = 20_000
    """Longest text, in characters."""
    body_timeout_s: float = 20.0
    """How long a client may take to send the body, in seconds."""


class Refused(HTTPException):
    """A request that is not answered."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        """One word for programs."""
        self.message = message
        """One sentence for people."""


class BoundedRequest(Request):
    """A request whose body is refused as soon as it exceeds the limits."""

    def __init__(self, request: Request, limits: Limits) -> None:
        # FastAPI would parse the header once more, as an e-mail's: 10 µs of each request.
        self._declared = {
            key: value
            for key, value in request.scope["headers"]
            if key in (b"content-type", b"content-length")
        }
        others = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
        super().__init__({**request.scope, "headers": others}, request.receive)
        self._limits = limits
        self._whole: bytes | None = None

    async def body(self) -> bytes:
        """The body. FastAPI asks for it twice, and it comes only once.

        Raises:
            Refused: 400, 408, 413 or 415.
        """
        if self._whole is None:
            self._whole = await self._checked()
        return self._whole

    async def _checked(self) -> bytes:
        declared = self._declared.get(b"content-type", b"application/json").decode("latin-1")
        if declared.partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "unsupported_media_type", "send the body as application/json")
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                body = await self._read()
        except TimeoutError:
            late = "the body did not arrive in time"
            raise Refused(408, "body_too_slow", late, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise Refused(400, "body_incomplete", "the body is incomplete") from None
        if not body:
            raise Refused(400, "not_json", "the body is empty, expected JSON")
        return body

    async def json(self) -> dict[str, Any]:
        """The JSON object in the body.

        Raises:
            Refused: 400, 408, 413, 415 or 422.
        """
        body = await self.body()
        try:
            payload = json.loads(body.decode("utf-8"), parse_constant=_not_finite)
        except UnicodeDecodeError:
            raise Refused(400, "not_utf8", "the body is not UTF-8") from None
        except (ValueError, RecursionError):
            raise Refused(
                400, "not_json", "the body is not JSON (NaN and infinity are not JSON either)"
            ) from None
        if not isinstance(payload, dict):
            raise Refused(422, "not_an_object", "the body must be a JSON object")
        return payload

    async def _read(self) -> bytes:
        declared = self._declared.get(b"content-length", b"")
        if declared.isdigit():
            self._check_size(int(declared[:20]))
        body = bytearray()
        async for chunk in self.stream():
            body += chunk
            self._check_size(len(body))
        return bytes(body)

    def _check_size(self, size: int) -> None:
        limit = self._limits.max_body_bytes
        if size > limit:
            message = f"the body may hold at most {limit} bytes"
            raise Refused(413, "body_too_large", message, {"Connection": "close"})


def bounded_route(limits: Limits) -> type[APIRoute]:
    """The class of FastAPI's routes whose requests are `BoundedRequest`s."""

    class BoundedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_bounded(request: Request) -> Response:
                return await handle(BoundedRequest(request, limits))

            return handle_bounded

    return BoundedRoute


def _not_finite(literal: str) -> NoReturn:
    raise ValueError(literal)
