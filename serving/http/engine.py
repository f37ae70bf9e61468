"""What serves now, behind one reference, and the thread that follows the release folder's pointer.

A candidate is verified, loaded and tried beside the one that serves; only then is the reference
exchanged. A bad candidate changes nothing but `Engine.refusal`. What serves by an override has the last
version that passed beside it, loaded: when the override ends, that one answers, whatever the files say by
then. Does not know HTTP.
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

from serving.http.latest_time import LatestTime
from serving.http.loading import NotTried, Served, Trial, load_release
from serving.store.manifest import ReleaseRefused
from serving.store.pointer import Pointer, PointerBroken
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import KeyProblem, KeySource, PublicKeys, load_public_keys

log = logging.getLogger("serving")

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


@dataclass(frozen=True, slots=True)
class _Held:
    """What is in memory, exchanged as one."""

    served: Served | None = None
    standby: Served | None = None
    """What answers when the override of `served` ends: the last version that passed."""


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
        keys: what releases must be signed with: a PEM file, which is read once, or keys that were read.
        trial: how a candidate is tried.
        poll_s: seconds between looks at the pointer.
        retry_s: what was refused is tried again after the first figure, in seconds, doubled each time up to
            the second: a copy may be repaired.
        clock: what time it is, for overrides.
        events: what to call when something changes.
    """

    def __init__(
        self,
        folder: ReleaseFolder,
        keys: KeySource,
        *,
        trial: Trial | None = None,
        poll_s: float = 0.5,
        retry_s: tuple[float, float] = (5.0, 300.0),
        clock: LatestTime | None = None,
        events: EngineEvents | None = None,
    ) -> None:
        self.folder = folder
        self.trial = trial or Trial()
        self.poll_s = poll_s
        self._clock = clock or LatestTime()
        self._events = events or EngineEvents()
        self._looked = threading.Event()
        self._held = _Held()
        # Whether an override ended here since a pointer was followed last.
        self._ended = False
        self._refusal: Refusal | None = None
        self._loading = True
        # Highest pointer sequence that was ever seen: a pointer below it was put back by somebody.
        self._sequence = 0
        self._seen: _Stamp = None
        self._retry_at = float("inf")
        self._first_retry_s, self._last_retry_s = retry_s
        self._retry_s = self._first_retry_s
        self._trim_at = float("inf")
        # The keys are trusted as they were at the start: whoever can exchange the file could sign anything
        # with another key. A new key takes a restart, which an operator does.
        self._key_source = keys
        self._keys = keys if isinstance(keys, PublicKeys) else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="release-follower", daemon=True)

    @property
    def served(self) -> Served | None:
        """What serves now; None before the first version is loaded.

        An override ends here, at its instant, also while the follower waits for a disk.
        """
        held = self._held
        return held.standby if self._over(held.served) else held.served

    @property
    def refusal(self) -> Refusal | None:
        """Why what the pointer asks for does not serve; None while the pointer is followed."""
        return self._refusal

    @property
    def reason(self) -> str:
        """Why nothing serves, in one sentence; empty once something does."""
        if self.served is not None:
            return ""
        if self._loading:
            return "the first version is being loaded"
        if (ended := self._held.served) is not None:
            return f"the override of version {ended.version} expired"
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
        try:
            self._end_override()
        except Exception:
            log.exception("telling that an override ended failed")  # it has ended all the same
        stamp = self._stamp()
        if not cold and stamp == self._seen and now < self._retry_at:
            return
        before = self._held, self._refusal
        if stamp != self._seen and self._refusal is not None:
            # Another pointer: the reason of the former refusal does not hold for it.
            self._refusal = None
            self._report_change()
        self._seen = stamp
        try:
            self._follow(self._trusted(), cold or self._held.served is None)
        except KeyProblem as error:
            self._refuse(None, "the public key can't be used", detail=str(error))
        except Exception:
            # The follower must outlive anything: without it no version would ever be exchanged again.
            log.exception("following the pointer failed")
            self._refuse(None, "following the pointer failed; see the log of the endpoint")
        finally:
            self._loading = False
            if cold or before != (self._held, self._refusal):
                self._report_change()
            self._looked.set()

    def _report_change(self) -> None:
        try:
            self._events.on_change()
        except OSError:
            log.exception("could not share with the other workers what serves here")

    def _follow(self, keys: PublicKeys, fall_back: bool) -> None:
        history = self.folder.pointers(keys) if fall_back else []
        if history:
            self._sequence = max(self._sequence, history[0].sequence)
        try:
            pointer = self.folder.pointer(keys)
        except PointerBroken as error:
            self._refuse(None, str(error))
        else:
            if pointer is None and not history and self._sequence == 0:
                return
            if pointer is None:
                self._refuse(None, "the pointer is gone")
            elif self._try(keys, pointer):
                return
        if fall_back:
            self._fall_back(keys)

    def _try(self, keys: PublicKeys, pointer: Pointer) -> bool:
        """Whether a pointer is followed; if it is not, `refusal` has the reason."""
        if pointer.sequence < self._sequence:
            self._refuse(pointer.version, "the pointer is older than one that was followed before")
            return False
        served = self._held.served
        # What serves by an override is loaded again: it may have been renewed.
        if served is not None and served.version == pointer.version and served.manifest.override is None:
            self._sequence = pointer.sequence
            self._refusal, self._retry_at = None, float("inf")
            return True
        try:
            self._exchange(keys, self._load(keys, pointer.version, pointer.sequence))
        except ReleaseRefused as error:
            behind_s = self._clock.now() - time.time()
            clock = f"; the clock is {behind_s:.0f} s behind the latest time seen" if behind_s > 60 else ""
            self._refuse(pointer.version, f"{error}{clock}", known=not isinstance(error, NotTried))
            return False
        self._sequence, self._ended = pointer.sequence, False
        self._refusal, self._retry_at, self._retry_s = None, float("inf"), self._first_retry_s
        return True

    def _fall_back(self, keys: PublicKeys) -> None:
        """Serve what served last, from the copies on disk. After an override ended, what passed its gates
        last; if nothing ever did, nothing serves."""
        served = self._held.served
        for version in self.folder.fallbacks(keys):
            if served is not None and served.version == version:
                return
            found = self._load_good(keys, version, passed=self._ended)
            if found is not None:
                self._exchange(keys, found)
                log.warning("serving the last known good version", extra={"version": version})
                return

    def _load_good(self, keys: PublicKeys, version: int, *, passed: bool) -> Served | None:
        """A version from its copy on disk if it may serve; with `passed`, only without an override."""
        try:
            served = self._load(keys, version, 0)
            if passed and served.manifest.override is not None:
                raise ReleaseRefused("it serves by an override, which is no approval to fall back on")
        except ReleaseRefused as error:
            log.warning("version on disk refused", extra={"version": version, "reason": str(error)})
            return None
        return served

    def _load(self, keys: PublicKeys, version: int, sequence: int) -> Served:
        begin = time.monotonic()
        served = load_release(
            self.folder.version_dir(version),
            keys,
            self.folder.name,
            self.trial,
            sequence=sequence,
            now=self._clock.now(),
        )
        seconds = round(time.monotonic() - begin, 3)
        log.info("version loaded", extra={"version": version, "seconds": seconds})
        return served

    def _trusted(self) -> PublicKeys:
        if self._keys is None:
            assert isinstance(self._key_source, Path), "else the keys are there"
            self._keys = load_public_keys(self._key_source)
        return self._keys

    def _exchange(self, keys: PublicKeys, served: Served) -> None:
        before = self._held.served
        self._held = _Held(served, self._standby_for(keys, served))
        self._announce(before, served)

    def _standby_for(self, keys: PublicKeys, served: Served) -> Served | None:
        """What is to answer when the override of `served` ends: the last that passed, from memory if it is
        there."""
        if served.manifest.override is None:
            return None
        held = self._held
        for known in (held.served, held.standby):
            if known is not None and known.manifest.override is None:
                return known
        others = (version for version in self.folder.fallbacks(keys) if version != served.version)
        found = (self._load_good(keys, version, passed=True) for version in others)
        return next((one for one in found if one is not None), None)

    def _end_override(self) -> None:
        """Let go of what serves by an override that is over, before any file is asked."""
        held = self._held
        if held.served is None or held.served.manifest.override is None:
            return
        if not self._over(held.served):
            self._clock.keep()
            return
        self._held, self._ended = _Held(held.standby), True
        self._clock.keep(at_once=True)
        self._refuse(held.served.version, f"its override expired at {held.served.manifest.override.expires}")
        if held.standby is None:
            log.error("nothing serves: the override expired", extra={"version": held.served.version})
        else:
            self._announce(held.served, held.standby)
        self._report_change()

    def _over(self, served: Served | None) -> bool:
        return (
            served is not None and served.manifest.override is not None and served.ends <= self._clock.now()
        )

    def _announce(self, before: Served | None, served: Served) -> None:
        """Tell that a version serves in the place of another."""
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
