"""What serves now, behind one reference, and the thread that follows the release folder's pointer.

A candidate is verified, loaded and tried beside the one that serves; only then is the reference
exchanged. A bad candidate changes nothing but `Engine.refusal`. Does not know HTTP.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.http.loading import NotTried, Served, load_release
from serving.store.manifest import ReleaseRefused
from serving.store.pointer import Pointer, PointerBroken
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import KeyProblem, load_public_key

log = logging.getLogger("serving")


class KeyExchanged(KeyProblem):
    """The public key is not the one that the endpoint started with."""


_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the pointer asks for and why it does not serve."""

    version: int | None
    """Version asked for; None where the pointer itself can't be trusted."""
    reason: str
    """One sentence without paths."""
    since: str
    """When it was refused: ISO 8601, UTC."""
    known: bool = True
    """Whether it may not serve, or answers otherwise than judged; False where it could not be tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvents:
    """What to call when something changes, in the thread of the engine."""

    on_exchange: Callable[[Served], None] = lambda served: None
    """After every exchange, with what serves now."""
    on_refusal: Callable[[Refusal], None] = lambda refusal: None
    """After every refusal."""
    on_change: Callable[[], None] = lambda: None
    """After every look that changed what serves or what is refused."""


class Engine:
    """Follows one release folder.

    Args:
        folder: the release folder.
        public_key: PEM file of the key that releases must be signed with.
        threads: CPU threads of each bundle.
        poll_s: seconds between looks at the pointer.
        max_answer_ms: longest that one text may take when a candidate is tried.
        retry_s: what was refused is tried again after the first figure, in seconds, doubled each time up to
            the second: a copy may be repaired.
        events: what to call when something changes.
    """

    def __init__(
        self,
        folder: ReleaseFolder,
        public_key: Path,
        *,
        threads: int = 2,
        poll_s: float = 0.5,
        max_answer_ms: float = 1000.0,
        retry_s: tuple[float, float] = (5.0, 300.0),
        events: EngineEvents | None = None,
    ) -> None:
        self.folder = folder
        self.public_key = public_key
        self.threads = threads
        self.poll_s = poll_s
        self.max_answer_ms = max_answer_ms
        self._events = events or EngineEvents()
        self._looked = threading.Event()
        self._served: Served | None = None
        self._refusal: Refusal | None = None
        self._loading = True
        # Highest pointer sequence that was ever seen: a pointer below it was put back by somebody.
        self._sequence = 0
        self._seen: _Stamp = None
        self._retry_at = float("inf")
        self._first_retry_s, self._last_retry_s = retry_s
        self._retry_s = self._first_retry_s
        self._trim_at = float("inf")
        # The key is trusted as it was at the start: whoever can exchange the file could sign anything with
        # another key. A new key takes a restart, which an operator does.
        self._pinned: bytes | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="release-follower", daemon=True)

    @property
    def served(self) -> Served | None:
        """What serves now; None before the first version is loaded."""
        return self._served

    @property
    def refusal(self) -> Refusal | None:
        """Why what the pointer asks for does not serve; None while the pointer is followed."""
        return self._refusal

    @property
    def reason(self) -> str:
        """Why nothing serves, in one sentence; empty once something does."""
        if self._served is not None:
            return ""
        if self._loading:
            return "the first version is being loaded"
        return self._refusal.reason if self._refusal else "no version has been promoted yet"

    def start(self) -> None:
        """Begin to follow the pointer, in another thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what serves goes on serving."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def wait_for_first_look(self) -> None:
        """Return once it is known whether there is a version to serve."""
        self._looked.wait()

    def _run(self) -> None:
        self.look(cold=True)
        while not self._stop.wait(self.poll_s):
            self.look()

    def look(self, cold: bool = False) -> None:
        """Look at the pointer once and follow it if it changed (or a refusal is due to be tried again).

        Args:
            cold: nothing serves yet, so fall back to the last known good version if need be.
        """
        now = time.monotonic()
        if now >= self._trim_at:
            self._trim_at = float("inf")
            _return_free_memory()
        expired = self._override_expired()
        stamp = self._stamp()
        # An expired override is acted on at once, and then as often as any other refusal.
        newly_expired = expired and self._retry_at == float("inf")
        if not cold and not newly_expired and stamp == self._seen and now < self._retry_at:
            return
        before = self._served, self._refusal
        if stamp != self._seen and self._refusal is not None:
            # Another pointer: the reason of the former refusal does not hold for it.
            self._refusal = None
            self._report_change()
        self._seen = stamp
        try:
            self._check_key()
            self._follow(cold or expired or self._served is None)
        except KeyExchanged as error:
            self._refuse(None, str(error))
        except KeyProblem as error:
            self._refuse(None, "the public key can't be used", detail=str(error))
        except Exception:
            # The follower must outlive anything: without it no version would ever be exchanged again.
            log.exception("following the pointer failed")
            self._refuse(None, "following the pointer failed; see the log of the endpoint")
        finally:
            self._loading = False
            if cold or before != (self._served, self._refusal):
                self._report_change()
            self._looked.set()

    def _report_change(self) -> None:
        try:
            self._events.on_change()
        except OSError:
            log.exception("could not share with the other workers what serves here")

    def _follow(self, fall_back: bool) -> None:
        history = self.folder.pointers(self.public_key) if fall_back else []
        if history:
            self._sequence = max(self._sequence, history[0].sequence)
        try:
            pointer = self.folder.pointer(self.public_key)
        except PointerBroken as error:
            self._refuse(None, str(error))
        else:
            if pointer is None and not history:
                return
            if pointer is None:
                self._refuse(None, "the pointer is gone")
            elif self._try(pointer):
                return
        if fall_back:
            self._fall_back()

    def _try(self, pointer: Pointer) -> bool:
        """Whether a pointer is followed; if it is not, `refusal` has the reason."""
        if pointer.sequence < self._sequence:
            self._refuse(pointer.version, "the pointer is older than one that was followed before")
            return False
        served = self._served
        if served is not None and served.version == pointer.version and not self._override_expired():
            self._sequence = pointer.sequence
            self._refusal, self._retry_at = None, float("inf")
            return True
        try:
            self._exchange(self._load(pointer.version, pointer.sequence))
        except ReleaseRefused as error:
            self._refuse(pointer.version, str(error), known=not isinstance(error, NotTried))
            return False
        self._sequence = pointer.sequence
        self._refusal, self._retry_at, self._retry_s = None, float("inf"), self._first_retry_s
        return True

    def _fall_back(self) -> None:
        """Serve what served last, from the copies on disk. After an override expired, what passed its gates
        last; if nothing ever did, nothing serves."""
        expired = self._override_expired()
        for version in self.folder.fallbacks(self.public_key):
            if self._served is not None and self._served.version == version and not self._override_expired():
                return
            try:
                served = self._load(version, 0)
                if expired and served.manifest.override is not None:
                    raise ReleaseRefused("it serves by an override, which is no approval to fall back on")
                self._exchange(served)
            except ReleaseRefused as error:
                log.warning("version on disk refused", extra={"version": version, "reason": str(error)})
            else:
                log.warning("serving the last known good version", extra={"version": version})
                return
        if expired and self._served is not None:
            log.error("nothing serves: the override expired", extra={"version": self._served.version})
            self._served = None

    def _load(self, version: int, sequence: int) -> Served:
        begin = time.monotonic()
        served = load_release(
            self.folder.version_dir(version),
            self.public_key,
            self.folder.name,
            sequence=sequence,
            threads=self.threads,
            max_answer_ms=self.max_answer_ms,
        )
        self._check_key()
        seconds = round(time.monotonic() - begin, 3)
        log.info("version loaded", extra={"version": version, "seconds": seconds})
        return served

    def _check_key(self) -> None:
        load_public_key(self.public_key)
        key = self.public_key.read_bytes()
        if self._pinned is None:
            self._pinned = key
        elif key != self._pinned:
            raise KeyExchanged("the public key was exchanged since the endpoint started; restart it")

    def _exchange(self, served: Served) -> None:
        before = self._served
        self._served = served
        # The old one goes once the last request that started with it is answered; give that a moment.
        self._trim_at = time.monotonic() + 2.0 if before is not None else float("inf")
        log.info(
            "version serves",
            extra={"version": served.version, "before": before.version if before else None},
        )
        self._events.on_exchange(served)

    def _refuse(self, version: int | None, reason: str, detail: str = "", *, known: bool = True) -> None:
        # To the millisecond: whoever moved the pointer asks whether the refusal is of before.
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        again = self._refusal is not None and (self._refusal.version, self._refusal.reason) == (
            version,
            reason,
        )
        self._retry_s = min(self._retry_s * 2, self._last_retry_s) if again else self._first_retry_s
        self._retry_at = time.monotonic() + self._retry_s
        self._refusal = Refusal(version=version, reason=reason, since=now, known=known)
        log.error("version refused", extra={"version": version, "reason": reason, "detail": detail})
        self._events.on_refusal(self._refusal)

    def _override_expired(self) -> bool:
        served = self._served
        override = served.manifest.override if served is not None else None
        return override is not None and override.expired

    def _stamp(self) -> _Stamp:
        try:
            found = self.folder.pointer_path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _return_free_memory() -> None:
    """Give the memory of a version that is gone back to the system (glibc keeps it otherwise)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
