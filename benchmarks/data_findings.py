"""Known defects of real corpora: the figures of their SOURCE.md beside those that Headgate finds.

Merges and judges each corpus with the default rules, as `headgate validate` does. A line a defect: stated,
found, and the rule, severity and outcome, or the figure, that shows it. No text is printed. --quick takes two
corpora, or generated rows with planted defects where HEADGATE_DATA is not set.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parts.rows import data_folder
from tests.support.contract import CannotMeasure, Report, run
from tests.support.known_corpora import corpora, generated_corpus
from tests.support.known_defects import Defect, defects, judged_corpus
from tests.support.measures import Measure, aligned, at_most, measure_table

GOAL = "every figure is the stated one, or the difference has a known reason"
QUICK_S, WHOLE_S = 8, 120
QUICK = ("openai_moderation", "jigsaw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which corpora."""
    parser.add_argument("corpus", nargs="*", help=f"of {', '.join(corpora())} (default: all)")


def measure(options: argparse.Namespace) -> Report:
    """Judge the corpora and compare."""
    known = corpora()
    if unknown := sorted(set(options.corpus) - set(known)):
        raise CannotMeasure(f"no such corpus: {', '.join(unknown)}; there are {', '.join(known)}")
    names = options.corpus or list(QUICK if options.quick else known)
    if data_folder() is None:
        if not options.quick:
            data_folder(needed=True)
        names = ["generated"]
    tables, measures = [], []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="headgate-findings-") as folder:
            corpus = generated_corpus(Path(folder)) if name == "generated" else known[name]
            start = time.perf_counter()
            seen = judged_corpus(corpus, Path(folder))
            seconds = time.perf_counter() - start
            found = list(defects(name, seen))
            title = f"{name}: {seen.rows.height:,} rows; data gate: {seen.judged.verdict.outcome}"
        tables.append(f"{title}\n\n{table(found)}")
        measures.append(Measure(f"{name}: defects compared", len(found)))
        wrong = sum(not defect.explained for defect in found)
        measures.append(Measure(f"{name}: figures without explanation", wrong, "", at_most(0)))
        measures.append(Measure(f"{name}: merged and judged in", seconds, "s"))
    return Report(measures, "\n\n".join([*tables, measure_table(measures)]))


def table(found: Sequence[Defect]) -> str:
    """A line a defect; reasons are below, numbered."""
    reasons: list[str] = []
    rows = [("SOURCE.md", "stated", "found", "", "shown by")]
    for one in found:
        mark = ""
        if one.stated != one.found:
            reason = one.why if one.explained else "NOT EXPLAINED"
            if reason not in reasons:
                reasons.append(reason)
            mark = f"({reasons.index(reason) + 1})"
        rows.append((one.statement, f"{one.stated:,}", f"{one.found:,}", mark, one.where))
    notes = [f"({number}) {reason}." for number, reason in enumerate(reasons, start=1)]
    return "\n".join([aligned(rows, right=(1, 2)), *notes])


if __name__ == "__main__":
    sys.exit(run(measure))
