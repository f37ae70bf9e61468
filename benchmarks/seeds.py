"""A configuration's whole flow over several seeds: what sharing costs each head, in the bundles that ship.

    python -m benchmarks.seeds WORK CONFIG [--backbone offline] [--seeds 17 18 19] [--threads 2]
        [--set FIELD=VALUE …] [--goal-mean 0] [--goal-head -0.01]
    python -m benchmarks.seeds WORK --table          # only print what is known so far

Every seed is one `headgate retrain` of a copy of CONFIG with a state folder of its own, `WORK/<seed>`: seed
of weights, order and dropout; the rows stay. Seeds that are done are not run again, and a seed that was
stopped finds its baselines in its cache. `--set` changes a field of `train` for all seeds; another WORK keeps
the results apart. The figures are those of the verdict that each run registers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.parts.compared_fits import read_json
from benchmarks.parts.flow_runs import copy_of, fit_seconds, retrain, stop
from benchmarks.parts.rows import TINY, working_folder
from tests.support.contract import CannotMeasure, Report, Size, run
from tests.support.machine import usable_cores
from tests.support.measures import (
    Goal,
    Measure,
    aligned,
    at_least,
    mean_with_interval,
    measure_table,
    undecided,
)
from tests.support.tiny_project import tiny_config

GOAL = "those of --goal-mean and --goal-head; for feelings 0 and -0.01"
QUICK_S, WHOLE_S = 73, 6000
SIZES = {"seeds": Size((17, 18, 19), (17,), "seeds of the trainings")}
RESULT = "result.json"
"""In the folder of a seed: what its run gave; written last."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Project, recipe and goals."""
    parser.add_argument("work", nargs="?", type=Path, help="folder that keeps state and results")
    parser.add_argument("config", nargs="?", type=Path)
    parser.add_argument("--backbone", help="another encoder")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="fields of `train`")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--goal-mean", type=float, help="least mean over heads of shared - baseline")
    parser.add_argument("--goal-head", type=float, help="least shared - baseline of any head")


def measure(options: argparse.Namespace) -> Report:
    """Run the seeds that are not done; their figures."""
    with working_folder(options.work) as work:
        if not options.table:
            config = tiny_config(work) if options.quick else options.config
            if config is None:
                raise CannotMeasure("CONFIG is missing; name one, or ask for --table or --quick")
            changes = {k: yaml.safe_load(v) for k, v in (each.split("=", 1) for each in options.set)}
            for seed in options.seeds:
                train = {**changes, "seed": seed, "threads": options.threads}
                run_seed(work / str(seed), config, train, options.backbone)
        found = [read_json(path) for path in sorted(work.glob(f"*/{RESULT}"))]
    if not found:
        raise CannotMeasure(f"{options.work}: no seed has come to its end")
    measures = measures_of(found, goal_mean=options.goal_mean, goal_head=options.goal_head)
    if options.quick:
        measures = list(undecided(measures, TINY))
    return Report(measures, f"{table(found)}\n\n{measure_table(measures)}")


def run_seed(folder: Path, config: Path, train: Mapping[str, Any], backbone: str | None) -> None:
    """One whole flow in `folder`, unless it has come to its end there.

    Raises:
        RuntimeError: it came to no verdict; the end of its messages is in the message.
    """
    if (folder / RESULT).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    home, copy = folder / ".headgate", copy_of(config, folder, train)
    print(f"  seed {train['seed']}", flush=True)
    options = [] if backbone is None else ["--backbone", backbone]
    try:
        seconds = retrain(copy, home, options, folder / "output.txt")
    finally:
        stop(copy, home)
    shared_s, baselines_s = fit_seconds(home)
    result = {
        "seed": train["seed"],
        "seconds": seconds,
        "shared_seconds": shared_s,
        "baselines_seconds": baselines_s,
        "verdict": registered_verdict(home),
    }
    (folder / RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")


def registered_verdict(home: Path) -> dict[str, Any]:
    """The verdict of the only version that the state folder's registry holds.

    Raises:
        ValueError: there is none, or more than one.
    """
    files = list(home.rglob("verdict.json"))
    if len(files) != 1:
        raise ValueError(f"{home}: seen {len(files)} verdicts, expected 1; start from a fresh folder")
    return read_json(files[0])


def heads_of(verdict: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Head → figures of its comparison with its baseline."""
    return {
        finding["subject"]: finding["figures"]
        for finding in verdict["findings"]
        if finding["figures"].get("compare") == "difference"
    }


def measures_of(
    found: Sequence[Mapping[str, Any]], *, goal_mean: float | None = None, goal_head: float | None = None
) -> list[Measure]:
    """Means over seeds: of each head, of its difference, of the heads' mean difference; and the times."""
    seeds = [heads_of(each["verdict"]) for each in found]
    measures, differences = [], []
    for head in seeds[0]:
        rows = [seed[head] for seed in seeds]
        gains = [row["shared"] - row["baseline"] for row in rows]
        differences.append(gains)
        metric = rows[0].get("metric", "")
        for model in ("shared", "baseline"):
            measures.append(
                Measure(f"{head}, {metric}: {model}", float(np.mean([row[model] for row in rows])))
            )
        measures.append(Measure(f"{head}: shared - baseline", float(np.mean(gains)), "", _goal(goal_head)))
    label = f"mean over heads of shared - baseline, {len(seeds)} seeds"
    measures.append(Measure(label, float(np.mean(differences)), "", _goal(goal_mean)))
    shared, baselines = (sum(each[k] for each in found) for k in ("shared_seconds", "baselines_seconds"))
    return [*measures, Measure("training: shared by baselines", shared / baselines, "×")]


def _goal(least: float | None) -> Goal | None:
    return None if least is None else at_least(least)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """A row for each seed: shared - baseline of each head, times, the verdict; and one for all seeds."""
    seeds = [heads_of(each["verdict"]) for each in found]
    heads = list(seeds[0])
    lines = [["seed", *heads, "mean", "shared, baselines trained in", "release"]]
    gains = np.array([[seed[head]["shared"] - seed[head]["baseline"] for head in heads] for seed in seeds])
    for each, seed, gain in zip(found, seeds, gains, strict=True):
        cells = [
            f"{seed[head]['shared']:.3f} - {seed[head]['baseline']:.3f} = {difference:+.3f}"
            for head, difference in zip(heads, gain, strict=True)
        ]
        times = f"{each['shared_seconds']:.0f} s, {each['baselines_seconds']:.0f} s"
        outcome = each["verdict"]["outcome"]
        lines.append([str(each["seed"]), *cells, f"{gain.mean():+.4f}", times, outcome])
    all_seeds = [mean_with_interval(column.tolist()) for column in (*gains.T, gains.mean(axis=1))]
    return aligned([*lines, ["all", *all_seeds, "", ""]])


if __name__ == "__main__":
    sys.exit(run(measure))
