"""How every benchmark and every campaign is run: one command line, one form of output, one exit code.

A module in `benchmarks/` or `tests/campaigns/` declares and ends with

    GOAL = "what should be reached"
    QUICK_S, WHOLE_S = 7, 180          # seconds of `--quick` and of the whole on two quiet cores
    SIZES = {"rows": Size(3000, 200, "training rows")}      # optional: options that --quick makes small
    def add_arguments(parser): …                            # optional: other options
    def measure(options) -> Report: …

    if __name__ == "__main__":
        sys.exit(run(measure))

`run` prints a table of at most 100 columns and, as the last line, one JSON object:

    {"name", "quick", "machine", "measures": [{"name", "value", "unit", "goal", "met"}], "met"}

`met` is null where there is no goal, and where this run cannot decide it (then with a `reason`). The exit
code is 0 unless a goal is missed or a figure is missing. What `measure` prints goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TextIO

from model.bundle.telemetry import telemetry_off
from tests.support.machine import describe_machine, one_line
from tests.support.measures import WIDTH, Measure, all_met, measure_table

Value = int | float | tuple[int, ...]


class CannotMeasure(Exception):
    """Something is missing that the run needs; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Size:
    """An option whose default depends on `--quick`."""

    whole: Value
    quick: Value
    help: str


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run."""

    measures: Sequence[Measure]
    tables: str = ""
    """Printed instead of the list of measures where these read better in another shape."""


def run(measure: Callable[[argparse.Namespace], Report]) -> int:
    """The command line of the module that defines `measure`; returns the exit code.

    Standard output is kept for the report: what else this process and its children print goes to standard
    error.
    """
    telemetry_off()
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        help_only = {"-h", "--help"} & set(sys.argv[1:])
        if not help_only:
            os.dup2(2, 1)
        return execute(sys.modules[measure.__module__], measure, sys.argv[1:], out)


def execute(
    module: ModuleType,
    measure: Callable[[argparse.Namespace], Report],
    arguments: Sequence[str],
    out: TextIO,
) -> int:
    """As `run`, for the declarations of `module`."""
    options = _parsed(module, arguments)
    body: dict[str, Any] = {"name": short_name(module), "quick": options.quick, "machine": describe_machine()}
    error = ""
    try:
        report = measure(options)
    except CannotMeasure as reason:
        report, error = Report(()), str(reason)
    except Exception as reason:
        traceback.print_exc(file=sys.stderr)
        report, error = Report(()), repr(reason)
    met = False if error else all_met(report.measures)
    body |= {"measures": [each.to_json() for each in report.measures], "met": met}
    print(f"failed: {error}" if error else report.tables or measure_table(report.measures), file=out)
    print(textwrap.fill(f"machine: {one_line(body['machine'])}", WIDTH), file=out)
    text = json.dumps(body | ({"error": error} if error else {}), ensure_ascii=False, allow_nan=False)
    print(text, file=out, flush=True)
    return 1 if met is False else 0


def short_name(module: ModuleType) -> str:
    """`coverage` for `benchmarks.coverage`, also where the module is run as the main one."""
    return full_name(module).rpartition(".")[2]


def full_name(module: ModuleType) -> str:
    """The module's dotted name, also where it is run as the main one."""
    return module.__spec__.name if module.__spec__ is not None else module.__name__


def _parsed(module: ModuleType, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {full_name(module)}",
        description=module.__doc__,
        epilog=f"Goal: {module.GOAL}. About {module.QUICK_S} s with --quick, {module.WHOLE_S:,} s without.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; ends within 60 s on two cores")
    sizes: Mapping[str, Size] = getattr(module, "SIZES", {})
    for name, size in sizes.items():
        several = isinstance(size.whole, tuple)
        kind = type(size.whole[0]) if isinstance(size.whole, tuple) else type(size.whole)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            nargs="+" if several else None,
            help=f"{size.help} (default {_text(size.whole)}; --quick {_text(size.quick)})",
        )
    getattr(module, "add_arguments", lambda parser: None)(parser)
    options = parser.parse_args(arguments)
    for name, size in sizes.items():
        if getattr(options, name) is None:
            setattr(options, name, size.quick if options.quick else size.whole)
    return options


def _text(value: Value) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
