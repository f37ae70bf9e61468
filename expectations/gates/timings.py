"""Raw timings of several bundles, interleaved in one run, as arrays.

Knows the file that `python -m model time` writes. Does not judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from model.measure.machine import crowded

Floats = NDArray[np.float64]
Clock = Literal["wall", "processor", "caller"]
"""What a bundle's time in a block is: the median wall time of its requests, or of their processor time, of
all threads or of the thread that asks."""

COLUMNS = ("block", "bundle", "text", "total_ms")
"""Columns without which nothing can be judged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timings:
    """One row a request, in the order in which they were sent; columns `(Q,)`."""

    block: NDArray[np.int64]
    """Block of the request; within a block every bundle is asked for the same texts, in random order."""
    bundle: NDArray[np.str_]
    """`shared`, `control` (a second process of the shared bundle), `baseline:<head>`, `champion`."""
    text: NDArray[np.int64]
    """Row of the text in the test split."""
    total_ms: Floats
    """From text to answer. Tokenising and encoding apart stand in `parts_ms`."""
    parts_ms: Mapping[str, Floats] = field(default_factory=dict)
    """`tokenise_ms` and `encode_ms`."""
    cpu_ms: Floats | None = None
    """Processor time of all threads of the process; none where it was not measured."""
    caller_ms: Floats | None = None
    """Processor time of the thread that asked."""
    tokens: NDArray[np.int64] | None = None
    """Tokens of the text."""
    peak_rss_mb: Mapping[str, float] = field(default_factory=dict)
    """Bundle → largest resident set of its process, in MiB."""
    bundle_bytes: Mapping[str, int] = field(default_factory=dict)
    """Bundle → size of all its files."""
    digest: Mapping[str, str] = field(default_factory=dict)
    """Bundle → sha256 of its manifest: which bytes were timed."""
    timed_as: Mapping[str, str] = field(default_factory=dict)
    """Bundle → the one whose requests count as its own: baselines of one architecture are timed once."""
    machine: Mapping[str, object] = field(default_factory=dict)
    """Where it was measured: processor, cores, load; for the report."""
    threads: int | None = None
    """CPU threads of each process, as measured there; none if the file does not say."""
    looks: int = 1
    """How often was measured and judged before this, and now: each look is a chance to pass by luck."""

    @property
    def bundles(self) -> tuple[str, ...]:
        """Bundles with at least one timed request, sorted; those that another one was timed for included."""
        timed = {str(name) for name in self.bundle}
        return tuple(sorted(timed | {name for name, other in self.timed_as.items() if other in timed}))

    def at(self, bundle: str) -> NDArray[np.bool_]:
        """`(Q,)` which requests count as the bundle's."""
        return np.asarray(self.bundle == self.timed_as.get(bundle, bundle))

    def of(self, bundle: str) -> Floats:
        """`(q,)` latencies of one bundle in milliseconds, in the order sent."""
        return np.asarray(self.total_ms[self.at(bundle)])

    def requests(self, bundle: str) -> list[tuple[int, int]]:
        """Blocks and texts that a bundle was asked for, sorted: what two bundles must share."""
        at = self.at(bundle)
        return sorted(zip(self.block[at].tolist(), self.text[at].tolist(), strict=True))

    @property
    def crowded_cores(self) -> float | None:
        """Cores that other work kept busy where that left too few for the requests; none where it did not, or
        nobody looked."""
        busy, of = self.machine.get("busy_cores"), self.machine.get("cores")
        if not isinstance(busy, int | float) or not isinstance(of, int) or self.threads is None:
            return None
        return float(busy) if crowded(busy, self.threads, of) else None

    def block_medians(self, bundle: str) -> Floats:
        """`(B,)` median latency in each block, blocks in order."""
        times = self.block_times(bundle, "wall")
        assert times is not None
        return times

    def block_times(self, bundle: str, clock: Clock) -> Floats | None:
        """`(B,)` time of a bundle in each block by one clock, in milliseconds, blocks in order; none where it
        was not measured. A median, so that one preemption of the process does not speak for a block; the tail
        is what the p95 rule looks at."""
        match clock:
            case "wall":
                column: Floats | None = self.total_ms
            case "processor":
                column = self.cpu_ms
            case "caller":
                column = self.caller_ms
            case _:
                assert_never(clock)
        if column is None:
            return None
        at = self.at(bundle)
        blocks, values = self.block[at], column[at]
        return np.array([np.median(values[blocks == one]) for one in np.unique(blocks)], dtype=np.float64)

    def block_stretches(self, bundle: str) -> Floats | None:
        """`(B,)` wall time over processor time in each block, the lower quartile of its requests: of those
        that were disturbed least. None where processor time was not measured. Unlike wall time it does not
        depend on the texts. Not the least of a block: whether one request in it found all its threads a core
        is luck, and moves the least by half."""
        if self.cpu_ms is None:
            return None
        at = self.at(bundle)
        blocks, stretches = self.block[at], self.total_ms[at] / self.cpu_ms[at]
        return np.array(
            [np.quantile(stretches[blocks == one], 0.25) for one in np.unique(blocks)], dtype=np.float64
        )


def timings_from_json(raw: Mapping[str, Any]) -> Timings:
    """Timings from what `json.load` gives of the timing file.

    Raises:
        ValueError: a column is missing, the columns differ in length, or anything but a baseline is timed as
            another.
    """
    columns = raw["requests"] if isinstance(raw.get("requests"), Mapping) else raw
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"the timings lack {', '.join(missing)}; time the bundles again")
    lengths = {name: len(columns[name]) for name in (*COLUMNS, "cpu_ms", "caller_ms") if name in columns}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the columns of the timings differ in length: {lengths}; time the bundles again")
    timed_as: Mapping[str, str] = raw.get("timed_as", {})
    if other := [name for pair in timed_as.items() for name in pair if not name.startswith("baseline:")]:
        raise ValueError(f"the timings take {other[0]!r} for another bundle; time the bundles again")

    def facts(name: str) -> dict[str, Any]:
        """What processes reported, of the bundles that another one was timed for, too."""
        known = dict(raw.get(name, {}))
        return known | {label: known[other] for label, other in timed_as.items() if other in known}

    return Timings(
        block=np.asarray(columns["block"], dtype=np.int64),
        bundle=np.asarray(columns["bundle"], dtype=np.str_),
        text=np.asarray(columns["text"], dtype=np.int64),
        total_ms=_floats(columns["total_ms"]),
        parts_ms={name: _floats(columns[name]) for name in ("tokenise_ms", "encode_ms") if name in columns},
        cpu_ms=_floats(columns["cpu_ms"]) if "cpu_ms" in columns else None,
        caller_ms=_floats(columns["caller_ms"]) if "caller_ms" in columns else None,
        tokens=np.asarray(columns["tokens"], dtype=np.int64) if "tokens" in columns else None,
        peak_rss_mb=facts("peak_rss_mb"),
        bundle_bytes=facts("bundle_bytes"),
        digest=facts("digest"),
        timed_as=dict(timed_as),
        machine=dict(raw.get("machine", {})),
        threads=raw.get("threads"),
        looks=max(1, len(raw.get("looks", ()))),
    )


def _floats(values: Any) -> Floats:
    """A column of milliseconds; JSON has no NaN, so a null stands for a figure that could not be had."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
