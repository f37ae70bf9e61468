"""Nine heads on one encoder in two sizes, beside nine baselines each: quality, time and memory.

    HEADGATE_DATA=… python -m benchmarks.nine_in_one WORK [--rows-per-head 500] [--test-rows 1500]
        [--epochs E] [--learning-rate R] [--max-length L] [--threads T] [--seed S]

The heads, sources and recipe of `configs/nine_in_one.yaml` on the packaged encoder, whole and cut to the
layers of `configs/nine_in_one_light.yaml`; nothing else differs between the sizes. For each: nine baselines,
their answers on all training rows, the shared model distilled from them, its bundle (float32 in both sizes);
then both bundles are timed, interleaved. Each training is a process of its own (`python -m model fit`), whose
largest resident set is read. Without `--rows-per-head` on all rows: hours on two cores.

Every result is appended to `WORK/results.jsonl` and baselines are kept, so a run that was stopped goes on
where it was. --quick trains two heads on generated rows and a tiny encoder.
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

from benchmarks.parts.compared_fits import (
    Baselines,
    append_result,
    digest,
    ignore,
    read_json,
    read_results,
    scores_on_test,
)
from benchmarks.parts.nine_in_one_table import measures_of, tables_of
from benchmarks.parts.rows import CONFIGS, merged_rows, tiny_project, working_folder
from flows.config.load import load_project
from model.code import code_digest
from model.rows import RowsFolder, open_rows
from model.spec import SPLITS, BackboneSpec, FitJob, PackageJob, PackageSpec, TrainSpec
from tests.support.contract import Report, Size, run
from tests.support.machine import usable_cores
from tests.support.measured_process import run_measured
from tests.support.sampled_rows import Budget, heads_that_draw, sampled_rows

GOAL = "none: figures for decision 0030"
QUICK_S, WHOLE_S = 22, 1300
SIZES = {
    "test_rows": Size(1500, 150, "most labelled test rows of a head"),
    "requests": Size(200, 40, "texts that each bundle answers one by one"),
}
WHOLE, LIGHT = "whole", "light"
PROGRESS_EVERY_S = 20.0
"""Seconds between two lines of progress of one training."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Rows and recipe."""
    parser.add_argument("work", nargs="?", type=Path, help="folder that keeps rows, baselines and results")
    parser.add_argument(
        "--rows-per-head", type=int, help="most labelled training rows of a head (default all)"
    )
    parser.add_argument("--epochs", type=int, help="default: the configuration's")
    parser.add_argument("--learning-rate", type=float, help="of the encoder (default: the configuration's)")
    parser.add_argument("--max-length", type=int, help="tokens of a text (default: the configuration's)")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--seed", type=int, default=17, help="of the rows drawn and of the trainings")


def measure(options: argparse.Namespace) -> Report:
    """Both sizes, compared."""
    # Threads that wait give way, as in `python -m model fit`: torch reads this when it is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with working_folder(options.work) as work:
        if options.quick:
            rows, encoder = tiny_project(work)
            backbone, layers = BackboneSpec(name=str(encoder)), 1
            recipe = TrainSpec(epochs=1, learning_rate=3e-3, max_length=16, threads=1)
        else:
            rows, recipe = _real_rows(options, work), _recipe(options)
            backbone = BackboneSpec(name="offline")
            layers = load_project(CONFIGS / "nine_in_one_light.yaml").backbone.layers or 0
        race = Race(work, rows, recipe, fit_mostly_here if options.quick else fit_measured)
        whole, light = race.size(WHOLE, backbone), race.size(LIGHT, replace(backbone, layers=layers))
        answering = race.answering({WHOLE: whole, LIGHT: light}, options.requests)
    return Report(measures_of(whole, light, answering), tables_of(whole, light, answering))


def _real_rows(options: argparse.Namespace, work: Path) -> Path:
    whole = merged_rows("nine_in_one", work / "data")
    budget = budget_of(open_rows(whole), options.rows_per_head, options.test_rows)
    name = digest(whole.parent.name, budget, options.seed)
    return sampled_rows(whole, budget, seed=options.seed, out=work / f"rows-{name}")


def _recipe(options: argparse.Namespace) -> TrainSpec:
    fields = ("epochs", "learning_rate", "max_length", "threads", "seed")
    changes = {field: value for field in fields if (value := getattr(options, field)) is not None}
    return replace(load_project(CONFIGS / "nine_in_one.yaml").train, **changes)


def budget_of(rows: RowsFolder, rows_per_head: int | None, test_rows: int) -> Budget:
    """Most rows of each split that are drawn for each drawing head; a third of `rows_per_head`, at least 100,
    for validation."""
    most = max(rows.counts.values())
    held_out = most if rows_per_head is None else max(100, rows_per_head // 3)
    each = {"train": rows_per_head or most, "validation": held_out, "test": test_rows}
    return {split: dict.fromkeys(heads_that_draw(rows), each[split]) for split in SPLITS}


def fit_measured(job: FitJob, title: str) -> None:
    """Train in a process of its own; `spent.json` beside `fit.json` holds what it took."""
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "job.json"
    file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    printed_s = time.monotonic()

    def follow(line: str) -> None:
        nonlocal printed_s
        event = json.loads(line)
        if event["event"] == "step" and time.monotonic() - printed_s > PROGRESS_EVERY_S:
            printed_s = time.monotonic()
            progress(f"{title}: step {event['step']} of {event['steps']}, {event['rows_per_s']:.0f} rows/s")

    spent = run_measured([sys.executable, "-m", "model", "fit", str(file)], on_line=follow)
    (out / "spent.json").write_text(json.dumps(asdict(spent)), encoding="utf-8")
    rate = read_json(out / "fit.json")["rows_per_s"]
    progress(f"{title}: {spent.seconds:.0f} s, {rate:.0f} rows/s, at most {spent.peak_mib:,.0f} MiB")


def fit_mostly_here(job: FitJob, title: str) -> None:
    """For --quick: only the shared models get a process of their own, whose start takes seconds; the peak of
    the others is that of this process."""
    if title.endswith("shared"):
        return fit_measured(job, title)
    from model.measure.timing_worker import resident_mib
    from model.train.fit import fit

    fit(job, ignore)
    Path(job.out, "spent.json").write_text(json.dumps({"peak_mib": resident_mib()["peak_rss_mb"]}))


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
        rows = open_rows(self.rows)
        key = digest(self.rows.name, asdict(self.recipe), asdict(backbone), code_digest())
        known = self._known(key)
        if known is not None:
            return known
        place = self.place / f"baselines-{code_digest()[:12]}"
        baselines = Baselines(self.rows, backbone, lambda job, head: self.fit(job, f"{title} {head}"), place)
        fitted = {head: baselines.fitted(head, self.recipe) for head in rows.heads}
        out = self.place / f"shared-{key}"
        teachers = {h: str(b / "taught" / f"{h}.npy") for h, b in fitted.items()}
        job = FitJob(
            heads=rows.heads,
            backbone=backbone,
            train=self.recipe,
            rows=str(self.rows),
            out=str(out / "fitted"),
            teachers=teachers if self.recipe.distillation else {},
        )
        self.fit(job, f"{title} shared")
        shutil.rmtree(out / "bundle", ignore_errors=True)
        progress(f"{title} shared: packaging")
        package(
            PackageJob(
                fitted=out / "fitted",
                out=out / "bundle",
                name="nine_in_one",
                rows=self.rows,
                package=PackageSpec(precision="float32"),  # int8 might be refused for one size only
                threads=self.recipe.threads,
            )
        )
        facts = read_json(out / "fitted" / "fit.json")
        fits = [read_json(b / "fit.json") for b in fitted.values()]
        taught = [b / "teach.json" for b in fitted.values() if (b / "teach.json").is_file()]
        record = {
            "key": key,
            "size": title,
            "metric": {head: spec.primary_metric for head, spec in rows.heads.items()},
            "shared": scores_on_test(out / "fitted", self.rows, threads=self.recipe.threads),
            "baseline": {head: read_json(b / "scores.json")[head] for head, b in fitted.items()},
            "seconds": facts["seconds"],
            "rows_per_s": facts["rows_per_s"],
            "baseline_seconds": sum(fit["seconds"] for fit in fits),
            "cpu_seconds": facts["cpu_seconds"],
            "baseline_cpu_seconds": sum(fit["cpu_seconds"] for fit in fits),
            "teaching_seconds": sum(read_json(file)["seconds"] for file in taught),
            "peak_mib": read_json(out / "fitted" / "spent.json")["peak_mib"],
            "baseline_peak_mib": max(read_json(b / "spent.json")["peak_mib"] for b in fitted.values()),
            "labelled": dict(labelled_rows(rows)),
            "texts": rows.counts,
            "recipe": asdict(self.recipe),
            "backbone": asdict(backbone),
        }
        append_result(self.work / "results.jsonl", record)
        return record

    def answering(self, sizes: Mapping[str, Mapping[str, Any]], requests: int) -> dict[str, Any]:
        """Time and memory of the bundles of both sizes, one text a request, interleaved."""
        from model.measure.timing import TimingJob, time_bundles

        key = digest(*(record["key"] for record in sizes.values()))
        known = self._known(key)
        if known is not None:
            return known
        bundles = {name: self.place / f"shared-{record['key']}" / "bundle" for name, record in sizes.items()}
        progress(f"timing {' and '.join(bundles)}, {requests} texts")
        timed = time_bundles(
            TimingJob(
                bundles={"shared": bundles[WHOLE], LIGHT: bundles[LIGHT]},
                texts=self.rows / "test.texts.jsonl",
                out=self.place / "timing.json",
                requests=requests,
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


def progress(line: str) -> None:
    """A line of progress."""
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(run(measure))
