"""Somebody to be told: an HTTP and an SMTP server on loopback that keep what they were sent."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 40.0
"""How long a message is waited for, in seconds."""


@dataclass
class Somebody:
    """Who is told, and what they were told."""

    url: str = ""
    """Address, in apprise's form."""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def heard(self, count: int) -> list[dict[str, Any]]:
        """The messages, once there are so many: a busy machine takes its time to deliver."""
        until = time.monotonic() + PATIENCE_S
        while len(self.messages) < count and time.monotonic() < until:
            time.sleep(0.02)
        return list(self.messages)

    def titles(self, count: int) -> list[str]:
        """Their first lines, once there are so many."""
        return [str(message["title"]) for message in self.heard(count)]


@contextlib.contextmanager
def by_http(*, token: str = "t0ken-of-the-hook", wait_s: float = 0.0, code: int = 200) -> Iterator[Somebody]:
    """An HTTP server that answers with `code` after `wait_s` seconds."""
    somebody, stop = Somebody(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stop.wait(wait_s)
            somebody.messages.append(json.loads(body))
            with contextlib.suppress(OSError):
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    somebody.url = f"json://127.0.0.1:{server.server_port}/{token}"
    try:
        yield somebody
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def by_mail() -> Iterator[Somebody]:
    """An SMTP server without encryption."""
    from aiosmtpd.controller import Controller

    somebody = Somebody()

    class Inbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            mail = message_from_bytes(envelope.content, policy=policy.default)
            shown = {
                part.get_content_subtype(): part.get_content()
                for part in mail.walk()
                if not part.is_multipart()
            }
            somebody.messages.append({"title": mail["Subject"], "to": mail["To"], **shown})
            return "250 taken"

    with socket.socket() as free:  # the server asks itself at the port that it was given, so 0 won't do
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(Inbox(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        somebody.url = (
            f"mailto://127.0.0.1:{port}/?from=headgate@example.org&to=ops@example.org&mode=insecure"
        )
        yield somebody
    finally:
        controller.stop()
