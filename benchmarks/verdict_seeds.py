"""How much the accuracy gate's verdict depends on seeds: shared models against baselines, all pairs.

    HEADGATE_DATA=… python -m benchmarks.verdict_seeds WORK [--only feelings] [--seeds 5] [--threads 2]
    python -m benchmarks.verdict_seeds WORK --table       # only print what is known so far

For each configuration the rows stay and the seeds change: seed by seed a baseline of every head, and a shared
model that these baselines teach, with the configuration's own recipe. Every shared model is then judged by
the configuration's own margins against the baselines of every seed: S × S verdicts a head. A verdict
*changes* where it is not the one that most baselines give the same shared model. For `gates.baseline_seeds:
3` the baselines are all triples of the same trainings, drawn with replacement: three independent seeds.

What was trained stays in WORK, and a run that was stopped goes on where it was. Of `feelings`, training rows
are cut to `TRAIN_ROWS` and the encoder to `LAYERS`; test rows are not. Answers are those of the models before
packaging. Last, simulated answers: how often the gate passes a model that is truly the margin worse than
the average baseline, and one that is as good.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.parts.compared_fits import ignore
from benchmarks.parts.rows import CONFIGS, TINY, data_folder, tiny_project, working_folder
from expectations.gates.accuracy import mean_finding
from expectations.gates.comparison import compared_head, decide_margin
from expectations.gates.scores import HeadScores, load_scores
from expectations.spec import GateRules
from expectations.stats.paired import paired_difference
from expectations.verdict import Finding, Outcome
from flows.config.load import load_project
from model.measure.score import save_arrays
from model.rows import open_rows
from model.spec import SPLITS, BackboneSpec, FitJob, TrainSpec
from sources.dataset import build_dataset
from tests.support.contract import Report, Size, run
from tests.support.measures import Measure, aligned, measure_table
from tests.support.sampled_rows import Budget, sampled_rows

GOAL = "none: figures for decision 0036"
QUICK_S, WHOLE_S = 12, 1800
SIZES = {
    "seeds": Size(5, 2, "seeds of shared models and of baselines, from 17 on"),
    "samples": Size(2000, 100, "simulated verdicts for each case"),
}
FIRST_SEED = 17
NAMES = ("quickstart", "feelings")
TRAIN_ROWS = {"emotion": 2000, "sentiment": 700, "toxicity": 500}
"""Labelled training rows of `feelings` that are kept."""
LAYERS = 2
"""Of the encoder for `feelings`: a seed then takes minutes on one core."""
ALL = 10**9
ALL_HEADS = "all heads"
DEFAULT = GateRules().margin
"""Every pair is also judged by the default margin: how often seeds decide depends on how near it is."""
WORST: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")
MARGIN, ACCURACY, SEED_DEVIATION, SIMULATED_ROWS = 0.03, 0.86, 0.008, 1600
"""Of the simulation, near the quickstart's heads."""


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
            for called, pairs in (
                (name, findings),
                (f"{name} at {DEFAULT:g}", at_margin(findings, DEFAULT)),
            ):
                measures += measures_of(called, pairs)
                tables.append(table(called, pairs))
    simulation = simulated(options.samples)
    tables.append(measure_table(simulation))
    return Report([*measures, *simulation], "\n\n".join(tables) + (f"\n{TINY}" if options.quick else ""))


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
    """Write a fitted model's answers on the test rows that its heads label, as `python -m model score`."""
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


def at_margin(pairs: Mapping[str, list[list[Finding]]], margin: float) -> dict[str, list[list[Finding]]]:
    """The same comparisons, judged by another margin."""

    def judged(one: Finding) -> Finding:
        outcome = decide_margin(_number(one, "lower"), _number(one, "upper"), margin)
        return replace(one, outcome=outcome, figures={**one.figures, "margin": margin})

    return {head: [[judged(one) for one in line] for line in lines] for head, lines in pairs.items()}


def combined(pairs: Mapping[str, list[list[Finding]]]) -> dict[str, list[list[Finding]]]:
    """The pairs of each head, and of all heads together: the worst of the heads' outcomes."""
    size = len(next(iter(pairs.values()), []))
    whole = [
        [
            min((found[one][other] for found in pairs.values()), key=lambda f: WORST.index(f.outcome))
            for other in range(size)
        ]
        for one in range(size)
    ]
    return {**pairs, ALL_HEADS: whole}


def changes(outcomes: Sequence[Sequence[Outcome]]) -> float:
    """Share of verdicts that are not those of the majority of their line: one shared model each."""
    odd = sum(len(line) - Counter(line).most_common(1)[0][1] for line in outcomes)
    return odd / sum(map(len, outcomes))


def with_three(
    pairs: Mapping[str, list[list[Finding]]], margins: Mapping[str, float]
) -> dict[str, dict[str, list[list[Outcome]]]]:
    """Rule → head → (shared model, triple of baselines) → outcome: of the mean, which ships, and of the
    comparison with the median difference, which was the other candidate."""
    found: dict[str, dict[str, list[list[Outcome]]]] = {"mean of 3": {}, "median of 3": {}}
    for head, lines in pairs.items():
        for kind, outcomes in found.items():
            outcomes[head] = []
            for line in lines:
                triples = itertools.product(line, repeat=3)
                outcomes[head].append([_of_three(kind, triple, margins[head]) for triple in triples])
    for outcomes in found.values():
        columns = [list(zip(*lines, strict=True)) for lines in zip(*outcomes.values(), strict=True)]
        outcomes[ALL_HEADS] = [[min(cells, key=WORST.index) for cells in line] for line in columns]
    return found


def _of_three(kind: str, triple: Sequence[Finding], margin: float) -> Outcome:
    if kind == "mean of 3":
        return mean_finding(triple, margin).outcome
    return sorted(triple, key=lambda one: _number(one, "difference"))[1].outcome


def _number(finding: Finding, name: str) -> float:
    return float(finding.figures[name] or 0.0)


def measures_of(name: str, pairs: Mapping[str, list[list[Finding]]]) -> list[Measure]:
    """Shares of verdicts that change: with one baseline, with three, and where both models' seeds change."""
    margins = {head: _number(lines[0][0], "margin") for head, lines in pairs.items()}
    three = with_three(pairs, margins)
    measures = []
    for head, lines in combined(pairs).items():
        alone = [[one.outcome for one in line] for line in lines]
        measures.append(Measure(f"{name}, {head}: verdicts that change, 1 baseline", changes(alone)))
        for kind, outcomes in three.items():
            label = f"{name}, {head}: verdicts that change, {kind}"
            measures.append(Measure(label, changes(outcomes[head])))
        own = [alone[at][at] for at in range(len(alone))]
        measures.append(Measure(f"{name}, {head}: verdicts that change, both seeds", changes([own])))
    return measures


def table(name: str, pairs: Mapping[str, list[list[Finding]]]) -> str:
    """A row for each head: what the seeds do to its metric, beside the margin and the error of the rows, and
    the verdicts."""
    titles = ("margin", "error of the rows", "shared: mean, deviation", "baseline", "verdicts")
    lines = [[f"{name}: head", *titles, "change: 1, mean of 3, median of 3"]]
    margins = {head: _number(found[0][0], "margin") for head, found in pairs.items()}
    three = with_three(pairs, margins)
    for head, found in combined(pairs).items():
        outcomes = [[one.outcome for one in line] for line in found]
        counted = Counter(itertools.chain(*outcomes))
        figures = ["", "", "", ""]
        if head != ALL_HEADS:
            shared = [_number(line[0], "shared") for line in found]
            alone = [_number(one, "baseline") for one in found[0]]
            error = np.mean([_number(one, "standard_error") for line in found for one in line])
            figures = [f"{margins[head]:g}", f"{error:.4f}", _spread(shared), _spread(alone)]
        lines.append(
            [
                head,
                *figures,
                ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common()),
                ", ".join(
                    f"{changes(each):.0%}" for each in (outcomes, *(three[kind][head] for kind in three))
                ),
            ]
        )
    return aligned(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f}, {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"


def simulated(samples: int) -> list[Measure]:
    """How often the gate passes, over seeds and test rows, by the number of baselines and the true gap.

    A row is hard or easy for all models alike (correlation 0.9 of the latent scale). A baseline's true
    accuracy is `ACCURACY`, with a deviation of `SEED_DEVIATION` from seed to seed.
    """
    rng = np.random.default_rng(FIRST_SEED)
    measures = []
    for gap, called in ((MARGIN, "worse by the margin"), (0.0, "as good")):
        for seeds in (1, 3, 5):
            passed: Counter[str] = Counter()
            for _ in range(samples):
                true = rng.normal(ACCURACY, SEED_DEVIATION, seeds)
                rows = rng.normal(size=SIMULATED_ROWS)
                shared = _right(rng, rows, ACCURACY - gap)
                bounds = [paired_difference(shared, _right(rng, rows, one), 0.95) for one in true]
                lower = float(np.mean([one.lower for one in bounds]))
                passed["mean of"] += lower > -MARGIN
                passed["median of"] += sorted(bounds, key=lambda b: b.value)[seeds // 2].lower > -MARGIN
            for rule in passed if seeds > 1 else ("mean of",):
                against = "1 baseline" if seeds == 1 else f"{rule} {seeds} baselines"
                label = f"simulated: a model {called} passes, {against}"
                measures.append(Measure(label, passed[rule] / samples))
    return measures


def _right(rng: np.random.Generator, rows: NDArray[np.float64], accuracy: float) -> NDArray[np.bool_]:
    """(N,) whether a model of that accuracy is right, by how hard the rows are (N,)."""
    found: NDArray[np.bool_] = np.sqrt(0.9) * rows + np.sqrt(0.1) * rng.normal(size=rows.size) < norm.ppf(
        accuracy
    )
    return found


if __name__ == "__main__":
    sys.exit(run(measure))
