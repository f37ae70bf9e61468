"""What each part of the recipe is worth: shared model minus baselines, variants by seeds, on real data.

    HEADGATE_DATA=… python -m benchmarks.quality WORK [--seeds 3] [--only NAME …] [--small]
    HEADGATE_DATA=… python -m benchmarks.quality WORK --config nine_in_one --row-share 0.1 [--epochs 3] […]
    python -m benchmarks.quality WORK --table          # only print what is known so far

Each variant changes the recipe in one way and is trained on equal rows (a sample of a configuration's,
`feelings` unless named, another one for each seed) with equally many passes. A WORK is for one configuration
and one size. Baselines are trained once for all variants that do not change *their* recipe. Every result is
appended to `WORK/results.jsonl`, so a run that was stopped goes on where it was. A difference is given with
the 95% interval of its mean over seeds (Student's t). The last column compares the shared models themselves,
seed by seed, with that of `recipe`: a change that helps the baselines as much shows there only.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
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
from benchmarks.parts.rows import merged_rows, tiny_project, working_folder
from model.code import code_digest
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, TrainSpec
from tests.support.contract import CannotMeasure, Report, Size, run
from tests.support.measures import Measure, aligned, mean_with_interval
from tests.support.sampled_rows import Budget, sampled_rows, share_budget

GOAL = "none: figures for decision 0026"
QUICK_S, WHOLE_S = 10, 20_000
SIZES = {
    "seeds": Size(3, 1, "seeds of rows and trainings"),
    "epochs": Size(2, 1, "passes over the rows"),
}
BUDGET: Budget = {
    "train": {"emotion": 4000, "sentiment": 1000, "toxicity": 700},
    "validation": {"emotion": 1200, "sentiment": 423, "toxicity": 299},
    "test": {"emotion": 3000, "sentiment": 1500, "toxicity": 977},
}
"""Labelled rows of each head: small enough for 5,700 rows x 2 epochs in a few minutes on one core."""
SMALL: Budget = {
    "train": {"emotion": 1500, "sentiment": 500, "toxicity": 350},
    "validation": {"emotion": 700, "sentiment": 423, "toxicity": 299},
    "test": {"emotion": 1500, "sentiment": 800, "toxicity": 600},
}
"""For `--small`: a training takes about 40 s on one core with the encoder cut to `SMALL_LAYERS`."""
SMALL_LAYERS = 2
TEST_ROWS = 1500
"""For `--row-share`: most test rows of a head."""
BASE = TrainSpec(epochs=2, learning_rate=2e-4, max_length=64)
"""The recipe of configs/feelings.yaml, which all variants change."""
RECIPE = "recipe"
"""The variant that changes nothing; the others are compared with it."""
QUICK = (RECIPE, "no distillation", "teachers out of fold")


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of the recipe."""

    shared: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainSpec` that differ for the shared model only."""
    both: Mapping[str, Any] = field(default_factory=dict)
    """Fields that differ for the baselines too: part of the recipe that the gate holds equal."""
    taught: bool = True
    """Whether the baselines teach."""
    out_of_fold: bool = False
    """Whether a row that is labelled for a head is taught by a model that was fitted without it."""


VARIANTS: dict[str, Variant] = {
    RECIPE: Variant(),
    "no distillation": Variant(shared={"distillation": 0.0}, taught=False),
    "losses not on one scale": Variant(shared={"balance_losses": False}),
    "mixing 0.5": Variant(shared={"mixing_exponent": 0.5}),
    "mixing 0": Variant(shared={"mixing_exponent": 0.0}),
    "mixing 1 to 0.2": Variant(shared={"mixing_final_exponent": 0.2}),
    "distillation 0.9, temperature 1": Variant(shared={"distillation": 0.9, "distillation_temperature": 1.0}),
    "distillation 0.9": Variant(shared={"distillation": 0.9}),
    "temperature 1": Variant(shared={"distillation_temperature": 1.0}),
    "constant distillation 0.5": Variant(shared={"distillation_final": 0.5}),
    "constant distillation 0.9, temperature 1": Variant(
        shared={"distillation": 0.9, "distillation_final": 0.9, "distillation_temperature": 1.0}
    ),
    "constant distillation 0.5, temperature 1": Variant(
        shared={"distillation_final": 0.5, "distillation_temperature": 1.0}
    ),
    "teachers by rows": Variant(shared={"distillation_mixing": 1.0}),
    "teachers out of fold": Variant(out_of_fold=True),
    "learning embeddings": Variant(both={"frozen_embeddings": False}),
    "no warm-up": Variant(both={"warmup_share": 0.0}),
    "first-token pooling": Variant(both={"pooling": "cls"}),
    "attention pooling": Variant(both={"pooling": "attention"}),
    "averaged weights 0.99": Variant(both={"ema_decay": 0.99}),
    "head rate 3e-3": Variant(both={"head_learning_rate": 3e-3}),
    "layer decay 0.9": Variant(both={"layer_decay": 0.9}),
    "label smoothing 0.1": Variant(both={"label_smoothing": 0.1}),
    "focal loss": Variant(both={"loss": "focal"}),
    "asymmetric loss": Variant(both={"loss": "asymmetric", "focal_gamma": 4.0}),
    "rare labels by 0.5": Variant(both={"rare_label_exponent": 0.5}),
    "batch 64": Variant(both={"batch_rows": 64}),
}
"""Name → change; what is on by default and the most promising first. All have equally many passes over each
head's rows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which variants, on which rows."""
    parser.add_argument("work", nargs="?", type=Path, help="folder that keeps rows, baselines and results")
    parser.add_argument("--first-seed", type=int, default=17)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help="only these variants")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="fewer rows, the encoder cut to two layers")
    parser.add_argument("--config", default="feelings", metavar="NAME", help="of configs/; give --row-share")
    parser.add_argument("--row-share", type=float, help="of every head's rows, instead of a budget for each")
    parser.add_argument("--table", action="store_true", help="train nothing")


def measure(options: argparse.Namespace) -> Report:
    """Train what is not known yet; the ablation."""
    if options.config != "feelings" and options.row_share is None:
        raise CannotMeasure(f"--config {options.config} needs a share of its rows, such as --row-share 0.1")
    with working_folder(options.work) as work:
        results = work / "results.jsonl"
        if not options.table:
            _train(options, work, results)
        records = read_results(results)
    measures = []
    for name in dict.fromkeys(record["variant"] for record in records):
        gains = [_mean(r["shared"]) - _mean(r["baseline"]) for r in records if r["variant"] == name]
        label = f"{name}: mean over heads of shared - baseline, {len(gains)} seeds"
        measures.append(Measure(label, float(np.mean(gains))))
    return Report(measures, table(records) if records else "")


def _train(options: argparse.Namespace, work: Path, results: Path) -> None:
    from model.train.fit import quiet_libraries

    quiet_libraries()
    base = replace(BASE, epochs=options.epochs, threads=options.threads)
    backbone = BackboneSpec(name="offline", layers=SMALL_LAYERS if options.small else None)
    if options.quick:
        whole, encoder = tiny_project(work)
        backbone, base = BackboneSpec(name=str(encoder)), replace(base, learning_rate=3e-3, max_length=16)
    else:
        whole = merged_rows(options.config, work / "data")
    budget = SMALL if options.small else BUDGET
    if options.row_share is not None:
        budget = share_budget(open_rows(whole), options.row_share, test_rows=TEST_ROWS)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        rows = whole
        if not options.quick:
            rows = sampled_rows(whole, budget, seed=seed, out=work / f"rows-{seed}")
        for name in options.only or (QUICK if options.quick else VARIANTS):
            train_variant(name, rows, backbone, replace(base, seed=seed), work, results)


def train_variant(
    name: str, rows: Path, backbone: BackboneSpec, base: TrainSpec, work: Path, results: Path
) -> None:
    """Baselines, teachers and the shared model of one variant for the seed of `base`, unless `results` holds
    them; appends what came of it."""
    if any(r["variant"] == name and r["seed"] == base.seed for r in read_results(results)):
        return
    variant, heads = VARIANTS[name], open_rows(rows).heads
    recipe = replace(base, **variant.both)
    baselines = Baselines(rows, backbone, fit_here, work / f"baselines-{base.seed}")
    fitted = {head: baselines.fitted(head, recipe) for head in heads}
    teachers = {h: b / "taught" / f"{h}.npy" for h, b in fitted.items()} if variant.taught else {}
    if variant.out_of_fold:
        teachers = {h: baselines.out_of_fold(h, b, recipe) for h, b in fitted.items()}
    out = work / f"shared-{digest(name, base.seed)}"
    job = FitJob(
        heads=heads,
        backbone=backbone,
        train=replace(recipe, **variant.shared),
        rows=str(rows),
        out=str(out),
        teachers={head: str(path) for head, path in teachers.items()},
    )
    facts = fit_here(job, f"{name}, seed {base.seed}")
    record = {
        "variant": name,
        "seed": base.seed,
        "shared": scores_on_test(out, rows, threads=base.threads),
        "baseline": {h: read_json(b / "scores.json")[h] for h, b in fitted.items()},
        "seconds": facts["seconds"],
        "baseline_seconds": sum(read_json(b / "fit.json")["seconds"] for b in fitted.values()),
        "padding_share": facts["padding_share"],
        "recipe": asdict(job.train),
        "rows": facts["rows"],
        "layers": backbone.layers,
        "code": code_digest(),
    }
    append_result(results, record)
    shutil.rmtree(out)


def fit_here(job: FitJob, title: str) -> dict[str, Any]:
    """Train in this process; a line of progress at the end."""
    from model.train.fit import fit

    started_s = time.monotonic()
    facts = fit(job, ignore)
    print(f"{title}: {time.monotonic() - started_s:.0f} s, {facts['rows_per_s']:.0f} rows/s", flush=True)
    return facts


def table(records: list[dict[str, Any]]) -> str:
    """The ablation: for each variant and head, baseline and shared − baseline with its 95% interval; and the
    shared models' mean against that of the recipe, seed by seed."""
    heads = list(records[0]["shared"])
    titles = (f"{h}: baseline, difference" for h in heads)
    lines = [["variant", "seeds", *titles, "mean of heads", "shared against recipe"]]
    plain = {r["seed"]: _mean(r["shared"]) for r in records if r["variant"] == RECIPE}
    for name in dict.fromkeys(r["variant"] for r in records):
        group = [r for r in records if r["variant"] == name]
        gains = [_mean(r["shared"]) - plain[r["seed"]] for r in group if r["seed"] in plain]
        against = mean_with_interval(gains) if gains and name != RECIPE else "–"
        lines.append([name, str(len(group)), *_cells(group, heads), against])
    return aligned(lines)


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores)


def _cells(group: list[dict[str, Any]], heads: list[str]) -> Iterator[str]:
    differences = {h: np.array([r["shared"][h] - r["baseline"][h] for r in group]) for h in heads}
    for head in heads:
        base = np.mean([r["baseline"][head] for r in group])
        yield f"{base:.3f}, {mean_with_interval(differences[head].tolist())}"
    yield mean_with_interval(np.mean(list(differences.values()), axis=0).tolist())


if __name__ == "__main__":
    sys.exit(run(measure))
