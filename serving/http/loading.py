"""From a version's folder to something that answers: verify, load, warm up, compare with the golden set.

Whatever is wrong with a version becomes one `ReleaseRefused`. Does not know which version is asked for, nor
what serves meanwhile.
"""

from __future__ import annotations

import json
import logging
import math
import os
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model.bundle.errors import GoldenMismatch, NonFiniteOutput
from model.bundle.reader import Bundle
from serving.store.manifest import (
    BUNDLE_FOLDER,
    ReleaseManifest,
    ReleaseRefused,
    read_file,
    verify_release,
)
from serving.store.signing import KeySource

GOLDEN_FILE = "golden.json"
MAX_GOLDEN_TOLERANCE = 0.05
"""Largest tolerance that a golden set may ask for: beyond it, agreement proves nothing."""
WARM_UP_ANSWERS = 5
"""Single answers that are timed before a version may serve."""

log = logging.getLogger("serving")


class NotTried(ReleaseRefused):
    """A version does not serve because it could not be tried here and now: for want of memory, or beside
    other work. That says nothing of what it answers; it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A version that answers. A request keeps the one that it started with."""

    bundle: Bundle
    manifest: ReleaseManifest
    sequence: int
    """Sequence of the pointer that asked for it; 0 if it serves without one."""
    since: str
    """When it was loaded: ISO 8601, UTC."""
    one_text_ms: float = math.nan
    """What one text took when it was tried, in milliseconds (median of a few)."""

    @property
    def version(self) -> int:
        """Registered version."""
        return self.manifest.version

    @property
    def ends(self) -> float:
        """When it must end, in seconds since 1970: with its override; never, if it passed."""
        return math.inf if self.manifest.override is None else self.manifest.override.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a version is tried before it may serve."""

    threads: int = 2
    """CPU threads of the model."""
    max_answer_ms: float = 1000.0
    """Longest that one text may take (median of a few), in milliseconds."""


def load_release(
    version_dir: Path, keys: KeySource, name: str, trial: Trial, *, sequence: int, now: float
) -> Served:
    """Verify and load a version, and see that it answers as it did when it was packaged.

    Args:
        version_dir: its folder.
        keys: what releases must be signed with.
        name: registered model that it must belong to.
        trial: how it is tried.
        sequence: sequence of the pointer that asked for it.
        now: the time that an override must hold at, in seconds since 1970.

    Raises:
        NotTried: it can not be tried, or not in time.
        ReleaseRefused: it may not serve, or answers otherwise. The message holds no paths.
    """
    folder = version_dir / BUNDLE_FOLDER
    before = _stamps(folder)
    manifest = verify_release(version_dir, keys, name, now=now)
    try:
        bundle = Bundle.load(folder, threads=trial.threads, verify=True)
        slow_ms = _warm_up(bundle, folder / GOLDEN_FILE)
    except ReleaseRefused:
        raise
    except Exception as error:
        # Whatever a broken graph or tokenizer makes the libraries raise, it must not end the endpoint. The
        # reason is shown to clients: only the kind of error, while the log has its place.
        log.warning("bundle does not load", extra={"version": manifest.version}, exc_info=True)
        kind = type(error).__name__
        if isinstance(error, GoldenMismatch | NonFiniteOutput):
            raise ReleaseRefused(f"bundle: it does not reproduce its golden answers ({kind})") from error
        raise NotTried(f"bundle: it does not load ({kind})") from error
    # The graph is hashed and then read again by the runtime: no file may have been touched in between.
    if bundle.digest != manifest.bundle_sha256 or _stamps(folder) != before:
        raise NotTried("bundle: it changed while it was loaded")
    if bundle.serving.unfit:
        log.warning(
            "version answers by the safe engine",
            extra={
                "version": manifest.version,
                "judged_in": bundle.serving.precision,
                "reason": bundle.serving.unfit,
                "answers_in": f"{bundle.serving.compute} by {bundle.serving.engine}",
                "one_text_ms": round(slow_ms, 3),
            },
        )
    if slow_ms > trial.max_answer_ms:
        raise NotTried(f"bundle: one text takes {slow_ms:.0f} ms, allowed {trial.max_answer_ms:.0f} ms")
    return Served(
        bundle=bundle,
        manifest=manifest,
        sequence=sequence,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        one_text_ms=slow_ms,
    )


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """File → inode, size and time of its last change of any kind, which a writer cannot set back; empty
    where there is no such folder."""
    try:
        found = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
    except OSError:
        return {}
    return {name: (stat.st_ino, stat.st_size, stat.st_ctime_ns) for name, stat in found.items()}


def _warm_up(bundle: Bundle, golden_file: Path) -> float:
    """Answer some golden texts one by one (they were compared on loading); median duration in ms."""
    golden = json.loads(read_file(golden_file))
    if golden["tolerance"] > MAX_GOLDEN_TOLERANCE:
        raise ReleaseRefused(
            f"bundle: its golden set tolerates {golden['tolerance']:g}, allowed {MAX_GOLDEN_TOLERANCE:g}"
        )
    times_ms = []
    for text in (golden["texts"] * (WARM_UP_ANSWERS + 1))[: WARM_UP_ANSWERS + 1]:
        begin = time.perf_counter()
        bundle.probabilities([text])
        times_ms.append((time.perf_counter() - begin) * 1000)
    return statistics.median(times_ms[1:])
