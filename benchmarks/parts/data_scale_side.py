"""One side of `benchmarks.data_scale`, in a process of its own so that its peak memory is its own.

    python -m benchmarks.parts.data_scale_side headgate|near|pandas FOLDER OUT

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
    folder: Path, out: Path, near_duplicates: Literal["off", "report"] = "off"
) -> dict[str, Any]:
    """Merge with `build_dataset`, then judge with `judge_data`, Data Docs and all."""
    from expectations.data.gate import judge_data
    from expectations.spec import DataRules
    from sources.dataset import build_dataset
    from tests.support.scale_rows import heads, sources, split_spec

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


def run_pandas(folder: Path, out: Path) -> dict[str, Any]:
    """The plain script; its import counts."""
    start = time.perf_counter()
    from tests.support.plain_pandas import judge_plainly, merge_plainly

    counts = merge_plainly(folder, out)
    merged = time.perf_counter()
    accepted = judge_plainly(counts)
    done = time.perf_counter()
    seconds = {"merge": merged - start, "validate": done - merged}
    return {"seconds": seconds, "accepted": accepted, "counts": counts}


def main() -> int:
    """Run one side and print what it came to."""
    side, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    load = os.getloadavg()[0]
    if side == "pandas":
        result = run_pandas(folder, out)
    else:
        result = run_headgate(folder, out, "report" if side == "near" else "off")
    print(json.dumps({**result, "load_before": load}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
