"""What passes between tasks: small frozen references to files, with digests and a few figures.

Never a tensor, a model or a table: a reference is cheap to log, to store and to send to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .spec import BackboneSpec, HeadSpec, SplitName, TrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a flow: where its files go and what it is made from."""

    id: str
    """Time (UTC) and the dataset's fingerprint, sortable."""
    name: str
    """Project."""
    folder: Path
    """What this run leaves behind."""
    logs: Path
    reports: Path
    cache: Path
    rows: Path
    """Rows folder of the dataset (`model.rows`)."""
    profile: Path
    """Profile of the data with token lengths, which travels in the bundle."""
    heads: Mapping[str, HeadSpec]
    """Labels filled in."""
    head_fingerprints: Mapping[str, str]
    """Head → digest of its rows."""
    backbone: BackboneSpec
    train: TrainSpec
    encoder_sha256: str
    """Digest of every file of the encoder that a training may read (`ResolvedBackbone.files_sha256`)."""
    texts_sha256: str
    """Digest of the training texts in their order."""
    provenance: Mapping[str, Any]
    """Dataset, code, encoder, recipe, versions: goes into card, registry and report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRef:
    """A fitted baseline on disk, not yet packaged."""

    folder: str
    """Its folder in the cache, named by everything that it depends on."""
    seconds: float
    """Wall time of the training; of the original one where it came from the cache."""
    cached: bool
    """Whether the cache had it and nothing was trained."""
    unseen: Mapping[str, float] = field(default_factory=dict)
    """Label → share of its training rows that it was fitted without; empty where it was fitted on all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRef:
    """One fold of a head's training rows, as a rows folder whose test split is to be answered."""

    rows: Path
    number: int
    """From 0."""
    fingerprint: str
    """Digest of the rows of this fold and of those beside it: what a model of it depends on."""
    positions: str
    """`.npy` file: which training rows the fold's test split holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitsRef:
    """A baseline's logits for rows of one split."""

    split: SplitName
    logits: str
    """`.npy` file (N, L)."""
    seen: bool = False
    """Whether the model was trained on these rows."""
    positions: str | None = None
    """`.npy` file (N,): which rows of the split; none for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRef:
    """A packaged model and what is known of its making."""

    path: str
    """Folder of the bundle; of a baseline, which does not ship, of the one that is timed for all of its
    architecture."""
    fitted: str
    """Folder of the fitted model: that it was packaged from, or of a baseline its own."""
    sha256: str
    """Digest of the bundle: sha256 of its manifest, which holds the sha256 of each file."""
    heads: tuple[str, ...]
    """Heads that it answers."""
    precision: str
    """Engine and precision (`model.bundle.card.PROFILES`), chosen by measurement on validation rows."""
    bytes: int
    """Size of all its files."""
    fit_seconds: float
    """Wall time of the training, in seconds; of the original one where it came from the cache."""
    cached: bool = False
    """Whether the cache had it and nothing was trained."""
    unseen: Mapping[str, float] = field(default_factory=dict)
    """Of a baseline, as in `FittedRef`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresRef:
    """Answers of one bundle on one split."""

    path: str
    sha256: str
    bundle_sha256: str
    """Digest of its manifest; of a baseline's, of the bundle that is timed for all of its architecture."""
    unseen: Mapping[str, float] = field(default_factory=dict)
    """Of a baseline, as in `FittedRef`: what those rows could be worth is taken off the margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRef:
    """The texts that a model was trained and calibrated on, by their ids (`expectations.seen_texts`)."""

    path: str
    """File of ids, or the `dataset.parquet` that they are read from."""
    sha256: str
    version: int | None = None
    """Registered version of the model; none where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingRef:
    """Raw timings: of several bundles, interleaved in one run, or of requests over HTTP."""

    path: str
    sha256: str


def baseline_label(head: str, number: int = 1) -> str:
    """What the baseline of a head is called in the evidence: `baseline:<head>`, and where there are several
    seeds, `baseline:<head>:2` and so on."""
    return f"baseline:{head}" if number == 1 else f"baseline:{head}:{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersRef:
    """Answers of the cheap references for one head, which have no bundle (`model.measure.cheap_answers`)."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The evidence of one candidate: everything that the gates look at."""

    scores: Mapping[str, ScoresRef]
    """`shared`, `baseline:<head>`, with `gates.baseline_seeds` also `baseline:<head>:2` and so on, and, where
    there is one, `champion`."""
    timing: TimingRef
    http: TimingRef
    """Latency and memory of a private endpoint that serves the candidate."""
    references: Mapping[str, AnswersRef] = field(default_factory=dict)
    """Head → answers of the cheap references; empty in evidence that was measured without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One choice of loss weights and what it gave."""

    weights: Mapping[str, float]
    """Head → factor of its loss."""
    shares: Mapping[str, float]
    """The weights as shares of their sum: π and 1 − π where there are two."""
    metrics: Mapping[str, float]
    """Head → its primary metric on validation rows."""
    seconds: float
    """Time in training steps; of the original training where the point was cached."""
