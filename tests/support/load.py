"""A client that asks without pause and keeps what it saw: for tests of a few thousand requests."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse

TEXT = "hello good day"
"""What is asked."""


class Client(threading.Thread):
    """Asks until it is enough or nobody listens any more.

    Args:
        url: base URL of the endpoint.
        keep_alive: whether to go on on one connection; else each request has its own.
    """

    def __init__(self, url: str, *, keep_alive: bool) -> None:
        super().__init__(daemon=True)
        parts = urllib.parse.urlsplit(url)
        self._address = parts.hostname or "", parts.port or 0
        self._keep_alive = keep_alive
        self._enough = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self.seen: list[tuple[int, int | None, list[float]]] = []
        """Status, version, and the probabilities of the moods in their order; none unless 200."""
        self.lost: list[str] = []
        """What became of requests that were accepted and not answered."""
        self.reset: list[str] = []
        """New connections that were reset before anything came back: the endpoint did not accept them."""

    def end(self) -> None:
        """It is enough; return once the last reply is in."""
        self._enough.set()
        self.join(10)

    def run(self) -> None:
        """Ask."""
        try:
            self._ask()
        finally:
            if self._connection is not None:
                self._connection.close()

    def _ask(self) -> None:
        body = json.dumps({"texts": TEXT, "all": True})
        while not self._enough.is_set():
            kept = self._connection is not None
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(*self._address, timeout=10)
                    self._connection.connect()
                connection = self._connection
            except ConnectionRefusedError:
                return  # nobody listens any more: nothing was accepted
            reply = None
            try:
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                raw = json.loads(reply.read())
            except (OSError, http.client.HTTPException) as error:
                # `RemoteDisconnected` derives from it, and means that the connection was accepted and closed.
                refused = type(error) is ConnectionResetError and not kept and reply is None
                seen = self.reset if refused else self.lost
                seen.append(f"on a {'kept' if kept else 'new'} connection: {error!r}")
                connection.close()
                self._connection = None
                continue
            moods: list[float] = []
            if reply.status == 200:
                by_label = {e["label"]: e["probability"] for e in raw["answers"][0]["mood"]["probabilities"]}
                moods = [by_label[label] for label in ("low", "mid", "high")]
                if str(raw["version"]) != reply.headers["X-Headgate-Version"]:
                    self.lost.append("header and body name different versions")
            self.seen.append((reply.status, raw.get("version"), moods))
            if not self._keep_alive or reply.headers.get("Connection") == "close":
                connection.close()
                self._connection = None
