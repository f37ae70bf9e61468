"""What passes between tasks: small frozen references to files, with digests and a few figures.

Never a tensor, a model or a table: a reference is cheap to log, to store and to send to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRef:
    """A packaged model and what is known of its making."""

    path: str
    """Folder of the bundle."""
    fitted: str
    """Folder of the fitted model that it was packaged from."""
    sha256: str
    """Digest of the bundle: sha256 of its manifest, which holds the sha256 of each file."""
    heads: tuple[str, ...]
    """Heads that it answers."""
    precision: str
    """`float32` or `int8`, chosen by measurement on validation rows."""
    bytes: int
    """Size of all its files."""
    fit_seconds: float
    """Wall time of the training, in seconds; of the original one where it came from the cache."""
    cached: bool = False
    """Whether the cache had it and nothing was trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresRef:
    """Answers of one bundle on one split."""

    path: str
    sha256: str
    bundle_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRef:
    """Raw timings: of several bundles, interleaved in one run, or of requests over HTTP."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The evidence of one candidate: everything that the gates look at."""

    scores: Mapping[str, ScoresRef]
    """`shared`, `baseline:<head>` and, where there is one, `champion`."""
    timing: TimingRef
    http: TimingRef
    """Latency and memory of a private endpoint that serves the candidate."""
