"""The known defects of real corpora: what their SOURCE.md states beside what Headgate found.

    HEADGATE_DATA=… python -m benchmarks.data_findings [CORPUS …]

Merges and judges each corpus with the default rules, as `headgate validate` does, and prints one line a
defect as a Markdown table: stated, found, and the rule, severity and outcome, or the figure, that shows it.
Ends with status 1 if a figure is neither the one stated nor right for the reason given. Prints no text.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data_findings_defects import Defect, Seen, defects
from benchmarks.data_findings_sources import corpora
from expectations.data.gate import judge_data
from expectations.spec import DataRules
from sources.dataset import build_dataset


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    names = list(corpora())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_findings", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("corpus", nargs="*", help=f"one of {', '.join(names)}; default: all")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.corpus) - set(names))
    if unknown:
        parser.error(f"no such corpus: {', '.join(unknown)}; there is {', '.join(names)}")
    if not Path(os.environ.get("HEADGATE_DATA", "")).is_dir() or not os.environ.get("HEADGATE_DATA"):
        parser.error("HEADGATE_DATA does not name the folder of real data")
    settled = True
    for name in options.corpus or names:
        with tempfile.TemporaryDirectory(prefix="headgate-findings-") as folder:
            start = time.perf_counter()
            seen = look_at(name, Path(folder))
            taken = time.perf_counter() - start
            found = list(defects(name, seen))
            outcome, rows = seen.judged.verdict.outcome, seen.rows.height
        print(f"### {name}\n\n{rows:,} rows merged and judged in {taken:.1f} s; data gate: {outcome}.\n")
        print(table(found), end="\n\n", flush=True)
        settled &= all(one.settled for one in found)
    return 0 if settled else 1


def look_at(name: str, folder: Path) -> Seen:
    """Merge and judge one corpus below `folder`."""
    corpus = corpora()[name]
    dataset = build_dataset(corpus.sources, corpus.heads, corpus.split, folder, folder / "data")
    judged = judge_data(dataset.path, DataRules(), dataset.heads, folder / "report")
    return Seen(dataset.path, judged)


def table(found: Sequence[Defect]) -> str:
    """A Markdown table, aligned; reasons stand below it, numbered."""
    reasons: list[str] = []
    cells = [("SOURCE.md", "stated", "found", "", "shown by")]
    for one in found:
        mark = ""
        if one.stated != one.found:
            reason = one.why if one.settled else "**not explained**"
            if reason not in reasons:
                reasons.append(reason)
            mark = f"({reasons.index(reason) + 1})"
        cells.append((one.says, f"{one.stated:,}", f"{one.found:,}", mark, one.where))
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if column in (1, 2) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(padded)} |")
    rule = [
        f"{'-' * (width - 1)}:" if column in (1, 2) else "-" * width for column, width in enumerate(widths)
    ]
    lines.insert(1, f"| {' | '.join(rule)} |")
    notes = "\n".join(f"({number}) {reason}." for number, reason in enumerate(reasons, start=1))
    return "\n".join(lines) + (f"\n\n{notes}" if notes else "")


if __name__ == "__main__":
    sys.exit(main())
