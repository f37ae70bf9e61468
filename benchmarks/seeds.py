"""A configuration's whole flow over several seeds: what sharing costs each head, in the bundles that ship.

    python -m benchmarks.seeds WORK CONFIG [--backbone offline] [--seeds 17 18 19] [--threads 2]
        [--set FIELD=VALUE …] [--goal-mean 0] [--goal-head -0.01]
    python -m benchmarks.seeds WORK --table          # only print what is known so far

Every seed is one `headgate retrain` of a copy of CONFIG with a state folder of its own, `WORK/<seed>`: seed
of weights, order and dropout; the rows stay the same. Seeds that are done are not run again, and a seed that
was stopped finds its baselines in its cache. `--set` changes a field of `train` for all seeds; another WORK
keeps the results apart. What is told is read from the verdict that each run registers.
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

from benchmarks.quality import interval
from benchmarks.rerun import copy_of, fit_seconds, retrain, stop
from tests.support.machine import describe_machine, usable_cores
from tests.support.result import Measure, aligned, at_least, report

RESULT = "result.json"
"""In the folder of a seed: what its run gave; written last."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="folder for state and results")
    parser.add_argument("config", nargs="?", type=Path)
    parser.add_argument("--backbone", help="another encoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17, 18, 19])
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="fields of `train`")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--goal-mean", type=float, help="least mean over heads of shared - baseline")
    parser.add_argument("--goal-head", type=float, help="least shared - baseline of any head")
    options = parser.parse_args(arguments)
    if not options.table:
        if options.config is None:
            parser.error("CONFIG is missing; name one, or ask for --table")
        changes = {k: yaml.safe_load(v) for k, v in (each.split("=", 1) for each in options.set)}
        for seed in options.seeds:
            train = {**changes, "seed": seed, "threads": options.threads}
            run_seed(options.work / str(seed), options.config, train, options.backbone)
    found = [json.loads(path.read_text()) for path in sorted(options.work.glob(f"*/{RESULT}"))]
    if not found:
        parser.error(f"{options.work}: no seed has come to its end")
    measures = measures_of(found, goal_mean=options.goal_mean, goal_head=options.goal_head)
    return report("seeds", measures, describe_machine(), tables=table(found))


def run_seed(folder: Path, config: Path, train: Mapping[str, Any], backbone: str | None) -> None:
    """One whole flow in `folder`, unless it has come to its end there.

    Raises:
        RuntimeError: it did not come to a verdict; its last lines are in the message.
    """
    if (folder / RESULT).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / ".headgate"
    copy = copy_of(config, folder, train)
    print(f"  seed {train['seed']}", file=sys.stderr, flush=True)
    try:
        seconds = retrain(
            copy, home, [] if backbone is None else ["--backbone", backbone], folder / "output.txt"
        )
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
    verdict: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
    return verdict


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
        measures += [
            Measure(f"{head}, {metric}: shared", float(np.mean([row["shared"] for row in rows])), ""),
            Measure(f"{head}, {metric}: baseline", float(np.mean([row["baseline"] for row in rows])), ""),
            Measure(
                f"{head}: shared - baseline",
                float(np.mean(gains)),
                "",
                None if goal_head is None else at_least(goal_head),
            ),
        ]
    measures.append(
        Measure(
            f"mean over heads of shared - baseline, {len(seeds)} seeds",
            float(np.mean(differences)),
            "",
            None if goal_mean is None else at_least(goal_mean),
        )
    )
    shared, baselines = (sum(each[k] for each in found) for k in ("shared_seconds", "baselines_seconds"))
    return [*measures, Measure("training: shared by baselines", shared / baselines, "×")]


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """A row for each seed: shared - baseline of each head, times, the verdict; and one for all seeds."""
    seeds = [heads_of(each["verdict"]) for each in found]
    heads = list(seeds[0])
    lines = [["seed", *heads, "mean", "shared, baselines trained in", "release"]]
    for each, seed in zip(found, seeds, strict=True):
        cells = [
            f"{f['shared']:.3f} - {f['baseline']:.3f} = {f['shared'] - f['baseline']:+.3f}"
            for f in (seed[head] for head in heads)
        ]
        mean = np.mean([seed[head]["shared"] - seed[head]["baseline"] for head in heads])
        times = f"{each['shared_seconds']:.0f} s, {each['baselines_seconds']:.0f} s"
        lines.append([str(each["seed"]), *cells, f"{mean:+.4f}", times, each["verdict"]["outcome"]])
    gains = np.array([[seed[head]["shared"] - seed[head]["baseline"] for head in heads] for seed in seeds])
    lines.append(["all", *(interval(column) for column in gains.T), interval(gains.mean(axis=1)), "", ""])
    return aligned(lines)


if __name__ == "__main__":
    sys.exit(main())
