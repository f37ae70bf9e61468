"""One side of `benchmarks.data_scale`, in a process of its own so that its peak memory is its own.

    python -m benchmarks.parts.data_scale_side merge|headgate|near|pandas FOLDER OUT

Prints one JSON object: seconds by stage, and the counts that both sides must share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal


def run_headgate(
    folder: Path, out: Path, near_duplicates: Literal["off", "report"] = "off", *, judge: bool = True
) -> dict[str, Any]:
    """Merge with `build_dataset`, then judge with `judge_data`, Data Docs and all. As in `headgate validate`,
    the library that judges is loaded while something else is done."""
    from expectations.ahead import load_ahead
    from expectations.spec import DataRules
    from sources.dataset import build_dataset
    from tests.support.scale_rows import heads, sources, split_spec

    start, cpu = time.perf_counter(), time.process_time()
    loading = load_ahead() if judge else None
    dataset = build_dataset(sources(), heads(), split_spec(near_duplicates), folder, out / "data")
    merged = time.perf_counter()
    seconds, merge_cpu_s = {"merge": merged - start}, time.process_time() - cpu
    if loading is None:
        return {"seconds": seconds, "merge_cpu_s": merge_cpu_s}
    loading.join()
    from expectations.data.gate import judge_data

    loaded = time.perf_counter()
    judged = judge_data(dataset.path, DataRules(), dataset.heads, out / "report")
    seconds |= {"library": loaded - merged, "validate": time.perf_counter() - loaded}
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
        "seconds": seconds,
        "accepted": judged.verdict.outcome != "fail",
        "counts": counts,
        "near_duplicates": profile["near_duplicates"],
    }


def run_pandas(folder: Path, out: Path) -> dict[str, Any]:
    """The plain script; its import counts."""
    start, cpu = time.perf_counter(), time.process_time()
    from tests.support.plain_pandas import judge_plainly, merge_plainly

    counts = merge_plainly(folder, out)
    merged, merge_cpu_s = time.perf_counter(), time.process_time() - cpu
    accepted = judge_plainly(counts)
    done = time.perf_counter()
    seconds = {"merge": merged - start, "validate": done - merged}
    return {"seconds": seconds, "merge_cpu_s": merge_cpu_s, "accepted": accepted, "counts": counts}


def main() -> int:
    """Run one side and print what it came to."""
    side, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    load = os.getloadavg()[0]
    if side == "pandas":
        result = run_pandas(folder, out)
    else:
        result = run_headgate(folder, out, "report" if side == "near" else "off", judge=side != "merge")
    print(json.dumps({**result, "load_before": load}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
