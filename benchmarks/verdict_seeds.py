"""How much the accuracy gate's verdict depends on seeds: shared models against baselines, all pairs.

    HEADGATE_DATA=… python -m benchmarks.verdict_seeds WORK [--only feelings] [--seeds 5] [--threads 2]
    python -m benchmarks.verdict_seeds WORK --table       # only print what is known so far

For each configuration the rows stay and the seeds change: seed by seed a baseline of every head, and a shared
model that these baselines teach, with the configuration's own recipe. Every shared model is then judged by
the configuration's own margins against the baselines of every seed: S × S verdicts a head. A verdict *changes*
where it is not the one that most of the same shared model's verdicts are. With `gates.baseline_seeds: 3` the
baselines are triples drawn with replacement from the same trainings: three independent seeds. What was
trained stays in WORK, and a run that was stopped goes on where it was. Training rows of `feelings` are cut to
`TRAIN_ROWS`, test rows are not; bounds are those of the float32 models, before packaging.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parts.compared_fits import ignore
from benchmarks.parts.rows import CONFIGS, TINY, data_folder, tiny_project, working_folder
from expectations.gates.comparison import compared_head
from expectations.gates.scores import HeadScores, load_scores
from expectations.spec import GateRules
from expectations.verdict import Finding
from flows.config.load import load_project
from model.measure.score import save_arrays
from model.rows import open_rows
from model.spec import SPLITS, BackboneSpec, FitJob, TrainSpec
from sources.dataset import build_dataset
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, aligned
from tests.support.sampled_rows import Budget, sampled_rows

GOAL = "none: figures for decision 0036"
QUICK_S, WHOLE_S = 12, 1800
SIZES = {"seeds": Size(5, 2, "seeds of shared models and of baselines, from 17 on")}
FIRST_SEED = 17
NAMES = ("quickstart", "feelings")
TRAIN_ROWS = {"emotion": 2000, "sentiment": 700, "toxicity": 500}
"""Labelled training rows of `feelings` that are kept."""
LAYERS = 2
"""Of the encoder for `feelings`: a seed then takes minutes on one core."""
ALL = 10**9


@dataclass(frozen=True, slots=True)
class Setting:
    """What one configuration is trained on and judged by."""

    name: str
    rows: Path
    backbone: BackboneSpec
    train: TrainSpec
    gates: GateRules


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where, and which configurations."""
    parser.add_argument("work", nargs="?", type=Path, help="folder that keeps rows and answers")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="train nothing")


def measure(options: argparse.Namespace) -> Report:
    """Train what is not known yet, and judge all pairs."""
    measures, tables = [], []
    with working_folder(options.work) as work:
        for name in ["tiny"] if options.quick else options.only:
            place = work / name
            setting = _tiny(place) if options.quick else _setting(name, place)
            seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
            if not options.table:
                for seed in seeds:
                    train_seed(setting, seed, place, options.threads)
            known = [seed for seed in seeds if (place / f"shared-{seed}.npz").is_file()]
            findings = judged_pairs(setting, known, place)
            measures += measures_of(name, findings)
            tables.append(table(name, findings))
    return Report(measures, "\n\n".join(tables) + (f"\n{TINY}" if options.quick else ""))


def _setting(name: str, place: Path) -> Setting:
    """A ready configuration with the packaged encoder, its rows merged below `place`."""
    path = CONFIGS / f"{name}.yaml"
    base = path.parent
    if name == "quickstart":
        from sources.quickstart.generate import write_sources

        base = place
        write_sources(place / ".headgate" / "quickstart", rows=5000, seed=17)
    else:
        data_folder(needed=True)
    project = load_project(path)
    data = build_dataset(dict(project.sources), dict(project.heads), project.split, base, place / "data")
    rows = Path(data.path) / "rows"
    if name == "feelings":
        budget: Budget = {split: dict.fromkeys(TRAIN_ROWS, ALL) for split in SPLITS} | {"train": TRAIN_ROWS}
        rows = sampled_rows(rows, budget, seed=FIRST_SEED, out=place / "rows")
    layers = LAYERS if name == "feelings" else None
    backbone = replace(project.backbone, name="offline", layers=layers)
    return Setting(name, rows, backbone, project.train, project.gates)


def _tiny(place: Path) -> Setting:
    rows, encoder = tiny_project(place)
    recipe = TrainSpec(epochs=1, learning_rate=3e-3, max_length=16)
    return Setting("tiny", rows, BackboneSpec(name=str(encoder)), recipe, GateRules(margin=0.05))


def train_seed(setting: Setting, seed: int, place: Path, threads: int) -> None:
    """The baselines of a seed and the shared model that they teach, unless their answers are there."""
    from model.train.fit import fit, quiet_libraries
    from model.train.teach import teach

    quiet_libraries()
    recipe = replace(setting.train, seed=seed, threads=threads)
    heads = open_rows(setting.rows).heads
    teachers, started_s = {}, time.monotonic()
    for label in (*heads, "shared"):
        answers, out = place / f"{label}-{seed}.npz", place / "fitted"
        taught = place / f"taught-{label}-{seed}"
        if label != "shared":
            teachers[label] = str(taught / f"{label}.npy")
        if answers.is_file():
            continue
        shutil.rmtree(out, ignore_errors=True)
        job = FitJob(
            heads=heads if label == "shared" else {label: heads[label]},
            backbone=setting.backbone,
            train=recipe if label == "shared" else replace(recipe, distillation=0.0),
            rows=str(setting.rows),
            out=str(out),
            teachers=teachers if label == "shared" else {},
            labelled_only=label != "shared",
        )
        fit(job, ignore)
        if label != "shared":
            teach(out, setting.rows, taught, threads=threads, precision=recipe.precision, on_event=ignore)
        answer_test_rows(out, setting.rows, answers, threads)
        print(f"{setting.name}, {label}, seed {seed}: {time.monotonic() - started_s:.0f} s", flush=True)


def answer_test_rows(fitted: Path, rows: Path, out: Path, threads: int) -> None:
    """Write a fitted model's answers on the test rows that its heads label, as `python -m model score` does."""
    from tokenizers import Tokenizer

    from model.bundle.activations import decide, probabilities
    from model.train.device import choose_compute
    from model.train.evaluate import predict_logits
    from model.train.network import load_fitted
    from model.train.tokens import tokenise

    compute = choose_compute("auto", threads)
    model = load_fitted(fitted, attn_implementation=compute.attention)
    part = open_rows(rows, model.heads).split("test", model.heads)
    keep = np.logical_or.reduce([part.labelled(head) for head in model.heads])
    tokens = tokenise(compress(part.texts(), keep.tolist()), Tokenizer.from_file(str(model.tokenizer_path)))
    logits = predict_logits(model.network, tokens, compute, pad_id=model.pad_token_id)
    arrays: dict[str, Any] = {}
    for name, head in model.heads.items():
        found = probabilities(head.kind, logits[name], model.calibration[name]["temperature"])
        thresholds = model.calibration[name]["thresholds"]
        chosen = decide(head.kind, found, None if thresholds is None else np.asarray(thresholds))
        targets = np.asarray(part.targets[name])
        arrays[f"targets:{name}"] = targets
        arrays[f"decisions:{name}"] = np.zeros_like(targets)
        arrays[f"decisions:{name}"][keep] = chosen
    save_arrays(out, arrays)


def judged_pairs(setting: Setting, seeds: Sequence[int], place: Path) -> dict[str, list[list[Finding]]]:
    """Head → (shared model's seed, baseline's seed) → finding of the accuracy gate."""
    heads = open_rows(setting.rows).heads
    found: dict[str, list[list[Finding]]] = {}
    shared = [load_scores(place / f"shared-{seed}.npz", heads) for seed in seeds]
    for name, head in heads.items():
        alone: list[HeadScores] = [
            load_scores(place / f"{name}-{seed}.npz", {name: head})[name] for seed in seeds
        ]
        margin = setting.gates.margins.get(name, setting.gates.margin)
        found[name] = [
            [
                compared_head(name, head, one[name], other, setting.gates, margin, against="its baseline")
                for other in alone
            ]
            for one in shared
        ]
    return found


def measures_of(name: str, findings: Mapping[str, list[list[Finding]]]) -> list[Measure]:
    return [Measure(name, 0.0)]


def table(name: str, findings: Mapping[str, list[list[Finding]]]) -> str:
    rows = [["head", "shared", "outcomes"]]
    for head, pairs in findings.items():
        for at, line in enumerate(pairs):
            rows.append(
                [head, str(at), " ".join(f"{f.outcome[0]}{f.figures['difference']:+.4f}" for f in line)]
            )
    return aligned(rows)


if __name__ == "__main__":
    sys.exit(run(measure))
