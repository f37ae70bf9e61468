"""From a version's folder to something that answers: verify, load, warm up, compare with the golden set.

Everything that can be wrong with a version ends here as one `ReleaseRefused`. Does not know which version
is asked for, nor what serves meanwhile.
"""

from __future__ import annotations

import json
import logging
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import Bundle
from serving.manifest import BUNDLE_FOLDER, ReleaseManifest, ReleaseRefused, verify_release

GOLDEN_FILE = "golden.json"
MAX_GOLDEN_TOLERANCE = 0.02
"""Largest tolerance that a golden set may ask for: beyond it, agreement says nothing."""
WARM_UP_ANSWERS = 5
"""Single answers that are timed before a version may serve."""

log = logging.getLogger("serving")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A version that answers. Requests hold on to the one that they started with."""

    bundle: Bundle
    manifest: ReleaseManifest
    sequence: int
    """Sequence of the pointer that asked for it; 0 if it serves without one."""
    since: str
    """When it was loaded: ISO 8601, UTC."""

    @property
    def version(self) -> int:
        """Registered version."""
        return self.manifest.version


def load_release(
    version_dir: Path, public_key: Path, name: str, *, sequence: int, threads: int, max_answer_ms: float
) -> Served:
    """Verify and load a version, and see that it answers as it did when it was packaged.

    Args:
        version_dir: its folder.
        public_key: PEM file of the key that releases must be signed with.
        name: registered model that it must belong to.
        sequence: sequence of the pointer that asked for it.
        threads: CPU threads of the model.
        max_answer_ms: longest that one text may take (median of a few), in milliseconds.

    Raises:
        ReleaseRefused: it may not or can not serve. The message holds no paths.
    """
    manifest = verify_release(version_dir, public_key, name)
    folder = version_dir / BUNDLE_FOLDER
    try:
        bundle = Bundle.load(folder, threads=threads, verify=True)
    except Exception as error:
        # Whatever a broken graph or tokenizer makes the libraries raise, it must not end the endpoint.
        log.warning("bundle does not load", extra={"version": manifest.version}, exc_info=True)
        raise ReleaseRefused(f"the bundle does not load ({type(error).__name__})") from error
    if bundle.digest != manifest.bundle_sha256:
        raise ReleaseRefused("the bundle changed while it was loaded")
    check_golden(bundle, _golden(folder), max_answer_ms)
    return Served(
        bundle=bundle,
        manifest=manifest,
        sequence=sequence,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def check_golden(bundle: Bundle, golden: dict[str, Any], max_answer_ms: float) -> None:
    """Return if the bundle reproduces its golden answers, fast enough.

    Raises:
        ReleaseRefused: a head is missing, an answer is not finite, off or slow.
    """
    try:
        texts, expected = list(golden["texts"]), dict(golden["probabilities"])
        tolerance = min(float(golden["tolerance"]), MAX_GOLDEN_TOLERANCE)
        wanted = {head: np.asarray(rows, dtype=np.float64) for head, rows in expected.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseRefused(f"{GOLDEN_FILE}: expected texts, probabilities and tolerance") from error
    if not texts or set(wanted) != set(bundle.card.heads):
        raise ReleaseRefused(f"{GOLDEN_FILE}: expected texts, and probabilities of exactly the card's heads")
    try:
        seen = bundle.probabilities(texts)
        for text in (texts * WARM_UP_ANSWERS)[:2]:
            bundle.probabilities([text])
        times_ms = []
        for text in (texts * WARM_UP_ANSWERS)[:WARM_UP_ANSWERS]:
            begin = time.perf_counter()
            bundle.probabilities([text])
            times_ms.append((time.perf_counter() - begin) * 1000)
    except Exception as error:
        log.warning("bundle does not answer", exc_info=True)
        raise ReleaseRefused(f"the bundle does not answer its golden set ({type(error).__name__})") from error
    for head, rows in wanted.items():
        got = np.asarray(seen[head], dtype=np.float64)
        if got.shape != rows.shape or not np.isfinite(got).all():
            raise ReleaseRefused(f"head {head}: its golden answers are not finite or not of the right shape")
        off = float(np.abs(got - rows).max(initial=0.0))
        if not off <= tolerance:
            raise ReleaseRefused(f"head {head}: golden answers are off by {off:.2g}, allowed {tolerance:.2g}")
    median_ms = statistics.median(times_ms)
    if median_ms > max_answer_ms:
        raise ReleaseRefused(f"one text takes {median_ms:.0f} ms, allowed {max_answer_ms:.0f} ms")


def _golden(folder: Path) -> dict[str, Any]:
    try:
        golden = json.loads((folder / GOLDEN_FILE).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ReleaseRefused(f"{GOLDEN_FILE}: not JSON") from error
    if not isinstance(golden, dict):
        raise ReleaseRefused(f"{GOLDEN_FILE}: expected a JSON object")
    return golden
