"""Nine heads on one encoder in two sizes, beside nine baselines each: quality, time and memory.

    HEADGATE_DATA=… python -m benchmarks.nine_in_one WORK [--rows-per-head 500] [--test-rows 1500]
        [--epochs E] [--learning-rate R] [--max-length L] [--threads T] [--seed S]

The heads, sources and recipe of `configs/nine_in_one.yaml` on the packaged encoder, whole and cut to the
layers of `configs/nine_in_one_light.yaml`; nothing else differs between the sizes. For each: nine baselines,
their answers on all training rows, the shared model distilled from them, its bundle (float32 in both sizes);
then both bundles are timed, interleaved. Each training is a process of its own (`python -m model fit`), whose
largest resident set is read. Without `--rows-per-head` on all rows: hours on two cores.

Every result is appended to `WORK/results.jsonl` and baselines are kept, so a run that was stopped goes on
where it was; a finished one prints its tables again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compared_fits import append_result, digest, kept_baseline, read_results, scores_on_test
from benchmarks.measured_process import run_measured
from benchmarks.nine_in_one_table import measures_of, tables_of
from benchmarks.real_rows import CONFIGS, Budget, heads_that_draw, merged_rows, sampled_rows
from flows.config.load import load_project
from model.code import code_digest
from model.measure.timing import TimingJob, time_bundles
from model.rows import RowsFolder, open_rows
from model.spec import SPLITS, BackboneSpec, FitJob, TrainSpec
from tests.support.machine import describe_machine, usable_cores
from tests.support.result import report

WHOLE, LIGHT = "whole", "light"

REQUESTS = 200
"""Texts that each bundle answers one by one."""

TELL_EVERY_S = 20.0
"""Seconds between two lines of progress of one training."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nine_in_one", description=__doc__.split("\n")[0]
    )
    parser.add_argument("work", type=Path, help="folder for rows, baselines and results")
    parser.add_argument(
        "--rows-per-head", type=int, help="most labelled training rows of a head; default all"
    )
    parser.add_argument("--test-rows", type=int, default=1500, help="most labelled test rows of a head")
    parser.add_argument("--epochs", type=int, help="default: the configuration's")
    parser.add_argument("--learning-rate", type=float, help="of the encoder; default: the configuration's")
    parser.add_argument("--max-length", type=int, help="tokens of a text; default: the configuration's")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--seed", type=int, default=17, help="of the rows drawn and of the trainings")
    options = parser.parse_args(arguments)
    be_patient()
    machine = describe_machine()
    options.work.mkdir(parents=True, exist_ok=True)
    whole = merged_rows("nine_in_one", options.work / "data")
    budget = budget_of(open_rows(whole), options.rows_per_head, options.test_rows)
    name = digest(whole.parent.name, budget, options.seed)
    rows = sampled_rows(whole, budget, seed=options.seed, out=options.work / f"rows-{name}")
    changes = {
        field: value
        for field in ("epochs", "learning_rate", "max_length", "threads", "seed")
        if (value := getattr(options, field)) is not None
    }
    recipe = replace(load_project(CONFIGS / "nine_in_one.yaml").train, **changes)
    light = load_project(CONFIGS / "nine_in_one_light.yaml").backbone.layers
    race = Race(options.work, rows, recipe)
    sizes = {WHOLE: race.size(WHOLE, BackboneSpec(name="offline"))}
    sizes[LIGHT] = race.size(LIGHT, BackboneSpec(name="offline", layers=light))
    answering = race.answering(sizes)
    return report(
        "nine_in_one",
        measures_of(sizes[WHOLE], sizes[LIGHT], answering),
        machine,
        tables=tables_of(sizes[WHOLE], sizes[LIGHT], answering),
    )


def be_patient() -> None:
    """Threads that wait give way, as in `python -m model fit`: torch reads this when it is imported."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def budget_of(rows: RowsFolder, rows_per_head: int | None, test_rows: int) -> Budget:
    """Most rows of each split that are drawn for each drawing head; a third of `rows_per_head`, at least 100,
    for validation."""
    most = max(rows.counts.values())
    held_out = most if rows_per_head is None else max(100, rows_per_head // 3)
    each = {"train": rows_per_head or most, "validation": held_out, "test": test_rows}
    return {split: dict.fromkeys(heads_that_draw(rows), each[split]) for split in SPLITS}


def fit_measured(job: FitJob, title: str) -> None:
    """Train in a process of its own; `spent.json` beside `fit.json` says what it took."""
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "job.json"
    file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    told_s = time.monotonic()

    def follow(line: str) -> None:
        nonlocal told_s
        event = json.loads(line)
        if event["event"] == "step" and time.monotonic() - told_s > TELL_EVERY_S:
            told_s = time.monotonic()
            tell(f"{title}: step {event['step']} of {event['steps']}, {event['rows_per_s']:.0f} rows/s")

    spent = run_measured([sys.executable, "-m", "model", "fit", str(file)], on_line=follow)
    (out / "spent.json").write_text(json.dumps(asdict(spent)), encoding="utf-8")
    rate = _json(out / "fit.json")["rows_per_s"]
    tell(f"{title}: {spent.seconds:.0f} s, {rate:.0f} rows/s, at most {spent.peak_mib:,.0f} MiB")


@dataclass(frozen=True, slots=True)
class Race:
    """Trainings on one rows folder by one recipe; what is done already is not done again."""

    work: Path
    rows: Path
    """All results are for this rows folder, whose name stands for its content."""
    recipe: TrainSpec
    fit: Callable[[FitJob, str], None] = fit_measured
    """Trains a job under a title."""

    @property
    def place(self) -> Path:
        """Folder of everything that is trained on these rows."""
        return self.work / f"fits-{self.rows.name}"

    def size(self, title: str, backbone: BackboneSpec) -> dict[str, Any]:
        """The record of one size: baselines, teachers, the shared model and its bundle."""
        from model.export.package import package
        from model.train.fit import quiet_libraries

        quiet_libraries()
        heads = open_rows(self.rows).heads
        key = digest(self.rows.name, asdict(self.recipe), asdict(backbone), code_digest())
        known = self._known(key)
        if known is not None:
            return known
        baselines = {}
        for head, spec in heads.items():
            baselines[head] = kept_baseline(
                head,
                spec,
                self.recipe,
                backbone=backbone,
                rows=self.rows,
                place=self.place / f"baselines-{code_digest()[:12]}",
                fit=lambda job, head=head: self.fit(job, f"{title} {head}"),  # type: ignore[misc]
            )
        out = self.place / f"shared-{key}"
        teachers = {h: str(b / "taught" / f"{h}.npy") for h, b in baselines.items()}
        job = FitJob(
            heads=heads,
            backbone=backbone,
            train=self.recipe,
            rows=str(self.rows),
            out=str(out / "fitted"),
            teachers=teachers if self.recipe.distillation else {},
        )
        self.fit(job, f"{title} shared")
        shutil.rmtree(out / "bundle", ignore_errors=True)
        tell(f"{title} shared: packaging")
        package(
            out / "fitted",
            out / "bundle",
            name="nine_in_one",
            rows=self.rows,
            provenance={},
            wanted="float32",  # int8 might be refused for one size and not for the other
            threads=self.recipe.threads,
        )
        record = {
            "key": key,
            "size": title,
            "metric": {head: spec.primary_metric for head, spec in heads.items()},
            "shared": scores_on_test(out / "fitted", self.rows, threads=self.recipe.threads),
            "baseline": {head: _json(b / "scores.json")[head] for head, b in baselines.items()},
            "seconds": _json(out / "fitted" / "fit.json")["seconds"],
            "rows_per_s": _json(out / "fitted" / "fit.json")["rows_per_s"],
            "baseline_seconds": sum(_json(b / "fit.json")["seconds"] for b in baselines.values()),
            "cpu_seconds": _json(out / "fitted" / "fit.json")["cpu_seconds"],
            "baseline_cpu_seconds": sum(_json(b / "fit.json")["cpu_seconds"] for b in baselines.values()),
            "teaching_seconds": sum(
                _json(b / "teach.json")["seconds"] for b in baselines.values() if (b / "teach.json").is_file()
            ),
            "peak_mib": _json(out / "fitted" / "spent.json")["peak_mib"],
            "baseline_peak_mib": max(_json(b / "spent.json")["peak_mib"] for b in baselines.values()),
            "labelled": dict(labelled_rows(open_rows(self.rows))),
            "texts": open_rows(self.rows).counts,
            "recipe": asdict(self.recipe),
            "backbone": asdict(backbone),
        }
        append_result(self.work / "results.jsonl", record)
        return record

    def answering(self, sizes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Time and memory of the bundles of both sizes, one text a request, interleaved."""
        key = digest(*(record["key"] for record in sizes.values()))
        known = self._known(key)
        if known is not None:
            return known
        bundles = {name: self.place / f"shared-{record['key']}" / "bundle" for name, record in sizes.items()}
        tell(f"timing {' and '.join(bundles)}, {REQUESTS} texts")
        timed = time_bundles(
            TimingJob(
                bundles={"shared": bundles[WHOLE], LIGHT: bundles[LIGHT]},
                texts=self.rows / "test.texts.jsonl",
                out=self.place / "timing.json",
                requests=REQUESTS,
                threads=self.recipe.threads or usable_cores(),
                seed=self.recipe.seed,
            )
        )
        names = {WHOLE: "shared", LIGHT: LIGHT, "control": "control"}
        taken = np.array(timed["requests"]["total_ms"])
        whose = np.array(timed["requests"]["bundle"])
        record = {
            "key": key,
            "median_ms": {size: float(np.median(taken[whose == name])) for size, name in names.items()},
            "peak_mib": {size: timed["peak_rss_mb"][name] for size, name in names.items()},
            "bundle_mb": {size: timed["bundle_bytes"][name] / 1e6 for size, name in names.items()},
        }
        append_result(self.work / "results.jsonl", record)
        return record

    def _known(self, key: str) -> dict[str, Any] | None:
        found = [r for r in read_results(self.work / "results.jsonl") if r["key"] == key]
        return found[-1] if found else None


def labelled_rows(rows: RowsFolder) -> Iterator[tuple[str, dict[str, int]]]:
    """Split → head → rows that label it."""
    for split in SPLITS:
        part = rows.split(split)
        yield split, {head: int(part.labelled(head).sum()) for head in rows.heads}


def tell(line: str) -> None:
    """A line of progress."""
    print(f"  {line}", file=sys.stderr, flush=True)


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    sys.exit(main())
