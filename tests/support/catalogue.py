"""Lists, checks and runs all benchmarks (`python -m benchmarks`) or campaigns (`python -m tests.campaigns`).

Every module of the folder but `conftest` and tests is one of them. Its declarations are read, not imported,
so that the list is there at once.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.contract import Report, execute
from tests.support.measures import WIDTH, Measure, aligned, at_least, shown

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60
"""Longest that a quick run should take on two cores."""
PATIENCE_S = 600
"""A quick run that takes longer is ended."""
KEYS = {"name", "quick", "machine", "measures", "met"}
MEASURE_KEYS = {"name", "value", "unit", "goal", "met"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One benchmark or campaign, as its module declares it."""

    module: str
    about: str
    goal: str
    quick_s: int
    whole_s: int

    @property
    def name(self) -> str:
        """The last part of the module's name."""
        return self.module.rpartition(".")[2]


def entries(package: str) -> list[Entry]:
    """All of a package and of its folders but `parts`, by name.

    Raises:
        ValueError: a module lacks a declaration; the message names it.
    """
    folder = ROOT.joinpath(*package.split("."))
    inside = [path for path in folder.glob("*/*.py") if path.parent.name != "parts"]
    found = [
        _entry(".".join([package, *path.parent.relative_to(folder).parts]), path, path.stem)
        for path in (*folder.glob("*.py"), *inside)
        if path.stem != "conftest" and not path.stem.startswith(("_", "test_"))
    ]
    return sorted(found, key=lambda entry: entry.name)


def _entry(package: str, path: Path, name: str) -> Entry:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    found: dict[str, Any] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id == "GOAL":
            found["GOAL"] = ast.literal_eval(node.value)
        elif isinstance(target, ast.Tuple) and ast.unparse(target) == "(QUICK_S, WHOLE_S)":
            found["QUICK_S"], found["WHOLE_S"] = ast.literal_eval(node.value)
    missing = sorted({"GOAL", "QUICK_S", "WHOLE_S"} - set(found))
    if missing:
        raise ValueError(f"{path}: {', '.join(missing)} missing; tests/support/contract.py says what for")
    if not source.rstrip().endswith('if __name__ == "__main__":\n    sys.exit(run(measure))'):
        raise ValueError(f"{path}: expected to end with `sys.exit(run(measure))` (tests/support/contract.py)")
    about = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
    return Entry(f"{package}.{name}", about, found["GOAL"], found["QUICK_S"], found["WHOLE_S"])


def main(package: str, arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--quick", action="store_true", help="run them with --quick, one after another")
    parser.add_argument("--under", type=int, metavar="SECONDS", help="only those whose quick run takes less")
    parser.add_argument("--check", action="store_true", help="hold each to the contract; measure nothing")
    options = parser.parse_args(arguments)
    chosen = entries(package)
    unknown = sorted(set(options.names) - {entry.name for entry in chosen})
    if unknown:
        parser.error(f"no such name: {', '.join(unknown)}; there are {', '.join(e.name for e in chosen)}")
    chosen = [entry for entry in chosen if not options.names or entry.name in options.names]
    chosen = [entry for entry in chosen if options.under is None or entry.quick_s < options.under]
    if options.check:
        wrong = {entry.name: list(flaws(entry)) for entry in chosen}
        for name, found in wrong.items():
            print(f"{name}: {'; '.join(found) or 'as the contract says'}")
        return 1 if any(wrong.values()) else 0
    if options.quick:
        return run_all(chosen)
    print(listing(chosen))
    return 0


def listing(found: Sequence[Entry]) -> str:
    """Name, what is measured, goal, and the seconds of `--quick` and of the whole."""
    rows = [("name", "what it measures", "goal", "quick", "whole")]
    rows += [(e.name, e.about, e.goal, f"{e.quick_s} s", f"{shown(e.whole_s)} s") for e in found]
    return aligned(rows, right=(3, 4))


def run_all(found: Sequence[Entry]) -> int:
    """Run each with `--quick`, print name, seconds and exit code; 1 if one of them failed."""
    failed = []
    for entry in found:
        print(f"{entry.module:<28}", end="", flush=True)
        begin = time.monotonic()
        code, output, flaw = _quick(entry)
        seconds = time.monotonic() - begin
        late = f"  over {LIMIT_S} s" if seconds > LIMIT_S else ""
        print(f"{seconds:6.1f} s  exit code {code}{late}", flush=True)
        if code or flaw:
            failed.append(entry.name)
            print("\n".join(["", *output.splitlines()[-40:], flaw, ""]), file=sys.stderr)
    print(f"{len(found)} run, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


def _quick(entry: Entry) -> tuple[int, str, str]:
    """Exit code, output and what is wrong with its last line."""
    command = [sys.executable, "-m", entry.module, "--quick"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return 1, "", f"ended after {PATIENCE_S} s"
    flaw = "; ".join(output_flaws(done.stdout, entry.name, done.returncode))
    return done.returncode, done.stderr + done.stdout, flaw


def flaws(entry: Entry) -> Iterator[str]:
    """What an entry does otherwise than the contract says: its options, and its output and exit code for
    made-up measures."""
    module = importlib.import_module(entry.module)
    if not callable(getattr(module, "measure", None)):
        yield "no function `measure`"
    helped = io.StringIO()
    old, sys.stdout = sys.stdout, helped
    try:
        execute(module, lambda options: Report(()), ["--help"], io.StringIO())
    except SystemExit as end:
        if end.code != 0 or "--quick" not in helped.getvalue():
            yield "--help does not show --quick"
    finally:
        sys.stdout = old
    goal = at_least(1)
    for measures, code in (
        ([Measure("one", 1.0, "s", goal)], 0),
        ([Measure("no goal", 1.0)], 0),
        ([Measure("undecided", 0.0, "s", goal, "too few rows")], 0),
        ([Measure("missed", 0.5, "s", goal)], 1),
        ([Measure("missing", None)], 1),
        ([], 1),
    ):
        out = io.StringIO()
        if execute(module, lambda options, made=measures: Report(made), ["--quick"], out) != code:  # type: ignore[misc]
            yield f"expected exit code {code} for {measures}"
        yield from output_flaws(out.getvalue(), entry.name, code)


def output_flaws(output: str, name: str, code: int) -> Iterator[str]:
    """What is wrong with the printed lines of a quick run that ended with `code`."""
    lines = output.splitlines() or [""]
    for line in lines[:-1]:
        if len(line) > WIDTH and not line.startswith("failed:"):
            yield f"a line of {len(line)} characters, at most {WIDTH} expected: {line}"
    try:
        body = json.loads(lines[-1])
    except ValueError:
        yield f"the last line is not JSON: {lines[-1][:100]}"
        return
    if (
        not isinstance(body, dict)
        or not set(body) >= KEYS
        or body["name"] != name
        or body["quick"] is not True
    ):
        yield f"the last line lacks one of {sorted(KEYS)}, or has another name or no quick"
        return
    for one in body["measures"]:
        if not set(one) >= MEASURE_KEYS or (one["goal"] is None and one["met"] is not None):
            yield f"a measure has not the form of the contract: {one}"
        if one["goal"] is not None and one["met"] is None and not re.search(r"\w", one.get("reason", "")):
            yield f"a goal is undecided without a reason: {one}"
    if (body["met"] is False) != (code != 0):
        yield f"met is {body['met']} and the exit code {code}"
