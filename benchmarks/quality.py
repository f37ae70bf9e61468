"""What each part of the recipe is worth: shared model minus baselines, variants by seeds, on real data.

    HEADGATE_DATA=… python -m benchmarks.quality WORK [--seeds 3] [--only NAME …] [--threads 1] [--small]
    HEADGATE_DATA=… python -m benchmarks.quality WORK --config nine_in_one --row-share 0.1 [--epochs 3] […]
    python -m benchmarks.quality WORK --table          # only print what is known so far

Each variant changes the recipe in one way and is trained on the same rows (a sample of a configuration's,
`feelings` unless said, another one for each seed) with the same number of passes. One WORK is for one
configuration and one size. Baselines are trained once for all variants that do not change *their* recipe.
Every result is appended to `WORK/results.jsonl` as it comes, so a run that was stopped goes on where it was.
A difference is given with the 95% interval of its mean over seeds (Student's t). The last column compares the
shared models themselves, seed by seed, with that of `recipe`: a change of the recipe that helps the baselines
as much shows there only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.compared_fits import (
    append_result,
    digest,
    kept_baseline,
    kept_folds,
    read_results,
    scores_on_test,
    silent,
)
from benchmarks.real_rows import Budget, merged_rows, sampled_rows, share_budget
from model.code import code_digest
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, TrainSpec
from model.train.fit import fit, quiet_libraries
from tests.support.result import aligned

BUDGET = {
    "train": {"emotion": 4000, "sentiment": 1000, "toxicity": 700},
    "validation": {"emotion": 1200, "sentiment": 423, "toxicity": 299},
    "test": {"emotion": 3000, "sentiment": 1500, "toxicity": 977},
}
"""Labelled rows of each head: small enough for 5,700 rows x 2 epochs in a few minutes on one core."""

SMALL = {
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

FIRST_SEED = 17

RECIPE = "recipe"
"""The variant that changes nothing; the others are compared with it."""


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
"""Name → change; what is on by default and the most promising first. All of the same passes over each head's
rows."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="folder for rows, baselines and results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="fewer rows, the encoder cut to two layers")
    parser.add_argument("--config", default="feelings", metavar="NAME", help="of configs/; give --row-share")
    parser.add_argument("--row-share", type=float, help="of every head's rows, instead of a budget for each")
    parser.add_argument("--epochs", type=int, default=BASE.epochs)
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args(arguments)
    if options.config != "feelings" and options.row_share is None:
        parser.error(f"--config {options.config}: say how much of its rows, for instance --row-share 0.1")
    results = options.work / "results.jsonl"
    if not options.table:
        options.work.mkdir(parents=True, exist_ok=True)
        quiet_libraries()
        rows = merged_rows(options.config, options.work / "data")
        budget: Budget = SMALL if options.small else BUDGET
        if options.row_share is not None:
            budget = share_budget(open_rows(rows), options.row_share, test_rows=TEST_ROWS)
        backbone = BackboneSpec(name="offline", layers=SMALL_LAYERS if options.small else None)
        base = replace(BASE, epochs=options.epochs, threads=options.threads)
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            sample = sampled_rows(rows, budget, seed=seed, out=options.work / f"rows-{seed}")
            lab = Laboratory(options.work, sample, backbone, replace(base, seed=seed), results)
            for name in options.only:
                lab.run(name, VARIANTS[name])
    print(table(read_results(results)))
    return 0


class Laboratory:
    """Trainings of one seed; what is done already is not done again."""

    def __init__(
        self, work: Path, rows: Path, backbone: BackboneSpec, base: TrainSpec, results: Path
    ) -> None:
        """`rows` is the sample of the seed of `base`; `results` the file that is appended to."""
        self.work, self.rows, self.backbone, self.base = work, rows, backbone, base
        self.results = results
        self.heads = open_rows(rows).heads

    def run(self, name: str, variant: Variant) -> None:
        """Baselines, teachers and the shared model of one variant."""
        recipe = replace(self.base, **variant.both)
        if any(r["variant"] == name and r["seed"] == self.base.seed for r in read_results(self.results)):
            return
        same = {"backbone": self.backbone, "rows": self.rows, "fit": self._fit}
        baselines = {
            head: kept_baseline(head, spec, recipe, place=self.work / "baselines", **same)
            for head, spec in self.heads.items()
        }
        teachers = {h: str(b / "taught" / f"{h}.npy") for h, b in baselines.items()} if variant.taught else {}
        if variant.out_of_fold:
            place = self.work / f"folds-{self.base.seed}"
            teachers = {h: str(kept_folds(h, b, recipe, place=place, **same)) for h, b in baselines.items()}
        out = self.work / f"shared-{digest(name, self.base.seed)}"
        facts = self._fit(
            FitJob(
                heads=self.heads,
                backbone=self.backbone,
                train=replace(recipe, **variant.shared),
                rows=str(self.rows),
                out=str(out),
                teachers=teachers,
            )
        )
        record = {
            "variant": name,
            "seed": self.base.seed,
            "shared": scores_on_test(out, self.rows, threads=self.base.threads),
            "baseline": {h: json.loads((b / "scores.json").read_text())[h] for h, b in baselines.items()},
            "seconds": facts["seconds"],
            "baseline_seconds": sum(
                json.loads((b / "fit.json").read_text())["seconds"] for b in baselines.values()
            ),
            "padding_share": facts["padding_share"],
            "recipe": asdict(replace(recipe, **variant.shared)),
            "rows": facts["rows"],
            "layers": self.backbone.layers,
            "code": code_digest(),
        }
        append_result(self.results, record)
        shutil.rmtree(out)

    def _fit(self, job: FitJob) -> dict[str, Any]:
        started_s = time.monotonic()
        facts = fit(job, silent)
        spent = f"{time.monotonic() - started_s:.0f} s, {facts['rows_per_s']:.0f} rows/s"
        print(f"seed {self.base.seed} {'+'.join(job.heads)}: {spent}", file=sys.stderr, flush=True)
        return facts


def table(records: list[dict[str, Any]]) -> str:
    """The ablation: for each variant and head, baseline and shared − baseline with its 95% interval; and the
    shared models' mean against that of the recipe on the same seeds."""
    heads = list(records[0]["shared"]) if records else []
    titles = (f"{h}: baseline, difference" for h in heads)
    lines = [["variant", "seeds", *titles, "mean of heads", "shared against recipe"]]
    plain = {r["seed"]: _mean(r["shared"]) for r in records if r["variant"] == RECIPE}
    for name in dict.fromkeys(r["variant"] for r in records):
        group = [r for r in records if r["variant"] == name]
        gains = [_mean(r["shared"]) - plain[r["seed"]] for r in group if r["seed"] in plain]
        against = interval(np.array(gains)) if gains and name != RECIPE else "–"
        lines.append([name, str(len(group)), *_cells(group, heads), against])
    return aligned(lines)


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores)


def _cells(group: list[dict[str, Any]], heads: list[str]) -> Iterator[str]:
    differences = {h: np.array([r["shared"][h] - r["baseline"][h] for r in group]) for h in heads}
    for head in heads:
        base = np.mean([r["baseline"][head] for r in group])
        yield f"{base:.3f}, {interval(differences[head])}"
    yield interval(np.mean(list(differences.values()), axis=0))


def interval(values: np.ndarray[Any, Any]) -> str:
    """Mean and half-width of its 95% interval over seeds; without the latter for one seed."""
    mean = f"{values.mean():+.4f}"
    if len(values) < 2:
        return mean
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean} ± {half:.4f}"


if __name__ == "__main__":
    sys.exit(main())
