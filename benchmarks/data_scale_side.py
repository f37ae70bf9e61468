"""One side of `benchmarks.data_scale` in a process of its own, so that its peak memory is its own.

    python -m benchmarks.data_scale_side headgate|near|pandas FOLDER OUT

Prints one JSON object: seconds by stage, peak resident memory, and the counts that both sides must share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal


def peak_memory_mib() -> float:
    """Largest resident set of this process so far, in MiB.

    `VmHWM` rather than `getrusage`, whose figure a process inherits from the one that started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM; peak memory can be measured on Linux only")


def run_headgate(
    folder: Path, out: Path, near_duplicates: Literal["off", "report"] = "off"
) -> dict[str, Any]:
    """Merge with `build_dataset`, then judge with `judge_data`, Data Docs and all."""
    from benchmarks.data_scale_rows import heads, sources, split_spec
    from expectations.data.gate import judge_data
    from expectations.spec import DataRules
    from sources.dataset import build_dataset

    start = time.perf_counter()
    dataset = build_dataset(sources(), heads(), split_spec(near_duplicates), folder, out / "data")
    merged = time.perf_counter()
    judged = judge_data(dataset.path, DataRules(), dataset.heads, out / "report")
    done = time.perf_counter()
    profile = json.loads((dataset.path / "profile.json").read_text(encoding="utf-8"))
    counts = {
        "rows": profile["rows"],
        "blank": profile["finding_totals"]["text_not_blank"],
        "shared": profile["text_shared_between_splits"],
        "conflicts": profile["conflicts"],
        "labels": {
            head: {split: of["counts"] for split, of in about["splits"].items()}
            for head, about in profile["heads"].items()
        },
    }
    return {
        "seconds": {"merge": merged - start, "validate": done - merged},
        "accepted": judged.verdict.outcome != "fail",
        "counts": counts,
        "near_duplicates": profile["near_duplicates"],
    }


def run_near(folder: Path, out: Path) -> dict[str, Any]:
    """Headgate, looking for near-duplicates too."""
    return run_headgate(folder, out, "report")


def run_pandas(folder: Path, out: Path) -> dict[str, Any]:
    """The plain script."""
    start = time.perf_counter()
    from benchmarks.data_scale_plain import judge_plainly, merge_plainly

    counts = merge_plainly(folder, out)
    merged = time.perf_counter()
    accepted = judge_plainly(counts)
    done = time.perf_counter()
    return {
        "seconds": {"merge": merged - start, "validate": done - merged},
        "accepted": accepted,
        "counts": counts,
    }


def main() -> int:
    """The command line; returns the exit status."""
    side, folder, out = sys.argv[1:]
    sides = {"headgate": run_headgate, "near": run_near, "pandas": run_pandas}
    load = os.getloadavg()[0]
    result = sides[side](Path(folder), Path(out))
    about = {"peak_mib": peak_memory_mib(), "load_before": load, "cpu_s": time.process_time()}
    print(json.dumps({**result, **about}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
