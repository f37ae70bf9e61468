"""Merging and validating up to millions of rows, beside a plain pandas script.

Three synthetic sources (CSV, JSONL, Parquet) are merged and judged by Headgate and by the script, in turn and
from equal files, `--times` over. Both must arrive at equal rows, labels, conflicts and blanks. Headgate also
writes Data Docs, findings and origins of every row, which the script does not. Of several times the quickest
counts: other programs only ever lengthen one. Up to `near_duplicates.ROW_LIMIT`
rows Headgate runs once more and looks for near-duplicates too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sources.merge.near_duplicates import ROW_LIMIT
from tests.support.contract import Report, Size, run
from tests.support.measured_process import run_measured
from tests.support.measures import Goal, Measure, at_least, at_most
from tests.support.plain_pandas import differing
from tests.support.scale_rows import write_load

GOAL = "merged in 0.33 of pandas' time, judged too in 0.6, within 4 GiB; linear; counts equal to pandas'"
QUICK_S, WHOLE_S = 9, 700
MERGE, JUDGED = 0.33, 0.6
"""Most time of Headgate's merge, and of merging and judging, by that of pandas' merge alone."""
SIZES = {"rows": Size((100_000, 1_000_000, 3_000_000), (5_000,), "sizes, in rows of all sources")}
LINEARITY = 1.25
"""Factor by which the CPU time a row may grow between the largest sizes and still count as linear."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who races."""
    parser.add_argument("--times", type=int, default=1, help="how often each side runs, in turn")
    parser.add_argument(
        "--alone", action="store_true", help="without the script, which needs much memory at 10 million rows"
    )


def measure(options: argparse.Namespace) -> Report:
    """All sides at all sizes."""
    results: dict[int, dict[str, dict[str, Any]]] = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="headgate-scale-") as folder:
            print(f"writing {rows:,} rows in three sources …")
            write_load(Path(folder), rows)
            sides = ["merge", "headgate"] if options.alone else ["merge", "headgate", "pandas"]
            if rows <= ROW_LIMIT and not options.quick:
                sides.append("near")
            turns = [{side: _run(side, Path(folder)) for side in sides} for _ in range(options.times)]
            results[rows] = {side: min((turn[side] for turn in turns), key=total_s) for side in sides}
    measures = [each for rows in options.rows for each in measures_of(rows, results[rows])]
    if len(options.rows) > 1:
        measures.append(linearity(results))
    return Report(measures)


def measures_of(rows: int, sides: Mapping[str, Mapping[str, Any]]) -> Iterator[Measure]:
    """The figures at one size."""
    large = rows >= 1_000_000
    memory_goal: Goal | None = at_most(4096) if large else None
    ours, alone = sides["headgate"], sides["merge"]
    label = f"{rows:,} rows"
    yield Measure(f"{label}: load of the machine before", ours["load_before"])
    yield Measure(f"{label}: merge and validate", total_s(ours), "s")
    yield Measure(f"{label}: of these, waiting for the library", ours["seconds"]["library"], "s")
    yield Measure(f"{label}: of these, validate", ours["seconds"]["validate"], "s")
    yield Measure(f"{label}: merge alone", alone["seconds"]["merge"], "s")
    yield Measure(f"{label}: merge alone, CPU time", alone["merge_cpu_s"], "s")
    yield Measure(f"{label}: merge alone, peak memory", alone["peak_mib"], "MiB", memory_goal)
    yield Measure(f"{label}: CPU time, all threads", ours["cpu_s"], "s")
    yield Measure(f"{label}: peak memory", ours["peak_mib"], "MiB", memory_goal)
    yield Measure(f"{label}: the data is accepted", int(ours["accepted"]), "", at_least(1))
    if "pandas" in sides:
        plain = sides["pandas"]
        yield Measure(f"{label}: plain pandas", total_s(plain), "s")
        merged = plain["seconds"]["merge"]
        share = alone["seconds"]["merge"] / merged
        yield Measure(f"{label}: merge by pandas'", share, "×", at_most(MERGE) if large else None)
        share = total_s(ours) / merged
        yield Measure(f"{label}: merge and validate by it", share, "×", at_most(JUDGED) if large else None)
        share = alone["merge_cpu_s"] / plain["merge_cpu_s"]
        yield Measure(f"{label}: merge by pandas', CPU time", share, "×")
        yield Measure(f"{label}: plain pandas, CPU time", plain["cpu_s"], "s")
        yield Measure(f"{label}: plain pandas, peak memory", plain["peak_mib"], "MiB")
        unequal = differing(ours["counts"], plain["counts"])
        yield Measure(f"{label}: counts that differ", unequal, "", at_most(0))
        yield Measure(f"{label}: pandas accepts the data", int(plain["accepted"]), "", at_least(1))
    if "near" in sides:
        near = sides["near"]
        yield Measure(f"{label}: with near-duplicates", total_s(near), "s")
        yield Measure(f"{label}: with near-duplicates, CPU time", near["cpu_s"], "s")
        yield Measure(f"{label}: with near-duplicates, peak memory", near["peak_mib"], "MiB", memory_goal)
        yield Measure(f"{label}: near-duplicates found", near["near_duplicates"], "texts")


def linearity(results: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> Measure:
    """CPU time a row at the largest size by that at the second largest: other programs on the machine
    lengthen the time that passes, hardly this one."""
    smaller, larger = sorted(results)[-2:]
    per_row = {rows: results[rows]["headgate"]["cpu_s"] / rows for rows in (smaller, larger)}
    name = f"CPU time a row at {larger:,} by that at {smaller:,}"
    return Measure(name, per_row[larger] / per_row[smaller], "×", at_most(LINEARITY))


def total_s(side: Mapping[str, Any]) -> float:
    """Seconds of all stages."""
    return float(sum(side["seconds"].values()))


def _run(side: str, folder: Path) -> dict[str, Any]:
    """One side in a process of its own."""
    print(f"  {side} …", flush=True)
    shutil.rmtree(folder / side, ignore_errors=True)  # a second turn would find what the first one merged
    lines: list[str] = []
    command = [sys.executable, "-m", "benchmarks.parts.data_scale_side", side, str(folder)]
    spent = run_measured([*command, str(folder / side)], on_line=lines.append)
    result: dict[str, Any] = json.loads(lines[-1])
    return result | {"cpu_s": spent.cpu_seconds, "peak_mib": spent.peak_mib}


if __name__ == "__main__":
    sys.exit(run(measure))
