"""How merging and validating grows with the rows, beside a plain pandas script doing the same work.

    python -m benchmarks.data_scale [--quick | --rows N …] [--alone]

Three synthetic sources (CSV, JSONL, Parquet) are merged and judged by Headgate and by the script, one after
the other on the same files, at 0.1, 1 and 3 million rows (`--quick`: 0.02 million). Both must arrive at the
same rows, labels, conflicts and blanks. Headgate also writes Data Docs, findings and origins of every row,
which the script does not. Up to `near_duplicates.ROW_LIMIT` rows Headgate runs once more and looks for
near-duplicates too. `--alone` leaves the script out, which needs more memory at 10 million rows than many
machines have.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.data_scale_rows import write_load
from sources.merge.near_duplicates import ROW_LIMIT
from tests.support.machine import describe_machine
from tests.support.result import Goal, Measure, at_least, at_most, report

ROWS = (100_000, 1_000_000, 3_000_000)
QUICK_ROWS = (20_000,)

LINEARITY = 1.25
"""CPU time a row may grow by this factor between the largest sizes and still count as linear."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_scale", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="0.02 million rows, within a minute")
    parser.add_argument("--rows", type=int, nargs="+", help="sizes, instead of 0.1, 1 and 3 million")
    parser.add_argument("--alone", action="store_true", help="Headgate without the script beside it")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    sizes = QUICK_ROWS if options.quick else tuple(options.rows or ROWS)
    results: dict[int, dict[str, dict[str, Any]]] = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="headgate-scale-") as folder:
            print(f"writing {rows:,} rows in three sources …", file=sys.stderr)
            write_load(Path(folder), rows)
            sides = ["headgate"] if options.alone else ["headgate", "pandas"]
            if rows <= ROW_LIMIT:
                sides.append("near")
            results[rows] = {side: _run(side, Path(folder)) for side in sides}
    measures = [measure for rows in sizes for measure in measures_of(rows, results[rows])]
    if len(sizes) > 1:
        measures.append(linearity(results))
    return report("data_scale", measures, machine)


def measures_of(rows: int, sides: Mapping[str, Mapping[str, Any]]) -> Iterator[Measure]:
    """The figures at one size."""
    goals: tuple[Goal | None, Goal | None] = {
        1_000_000: (at_most(60), at_most(4096)),
        QUICK_ROWS[0]: (at_most(30), at_most(4096)),
    }.get(rows, (None, None))
    ours = sides["headgate"]
    label = f"{rows:,} rows"
    yield Measure(f"{label}: load of the machine before", ours["load_before"], "")
    yield Measure(f"{label}: merge and validate", total_s(ours), "s", goals[0])
    yield Measure(f"{label}: of these, merge", ours["seconds"]["merge"], "s")
    yield Measure(f"{label}: CPU time, all threads", ours["cpu_s"], "s")
    yield Measure(f"{label}: peak memory", ours["peak_mib"], "MiB", goals[1])
    yield Measure(f"{label}: the data is accepted", int(ours["accepted"]), "", at_least(1))
    if "pandas" in sides:
        plain = sides["pandas"]
        yield Measure(f"{label}: plain pandas", total_s(plain), "s")
        yield Measure(f"{label}: pandas' time by ours", total_s(plain) / total_s(ours), "×")
        yield Measure(f"{label}: plain pandas, CPU time", plain["cpu_s"], "s")
        yield Measure(f"{label}: plain pandas, peak memory", plain["peak_mib"], "MiB")
        differs = differing(ours["counts"], plain["counts"])
        yield Measure(f"{label}: counts that differ", differs, "", at_most(0))
        yield Measure(f"{label}: pandas accepts the data", int(plain["accepted"]), "", at_least(1))
    if "near" in sides:
        near = sides["near"]
        yield Measure(f"{label}: with near-duplicates", total_s(near), "s", goals[0])
        yield Measure(f"{label}: with near-duplicates, CPU time", near["cpu_s"], "s")
        yield Measure(f"{label}: with near-duplicates, peak memory", near["peak_mib"], "MiB", goals[1])
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


def differing(ours: Any, plain: Any) -> int:
    """How many figures of two nested tables of counts are not the same; a missing one counts."""
    if isinstance(ours, Mapping) and isinstance(plain, Mapping):
        return sum(differing(ours.get(key), plain.get(key)) for key in {*ours, *plain})
    return int(ours != plain)


def _run(side: str, folder: Path) -> dict[str, Any]:
    """One side in a process of its own.

    Raises:
        RuntimeError: it failed; its last lines are in the message.
    """
    print(f"  {side} …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.data_scale_side", side, str(folder), str(folder / side)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side} failed with status {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
