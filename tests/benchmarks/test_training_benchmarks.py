"""The races of training: what they compute by hand, and the one for a GPU in small on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import compared_fits, compile, gpu, quality, rerun, seeds, thresholds, train_speed

ROOT = Path(__file__).resolve().parents[2]


def test_the_ablation_table_by_hand() -> None:
    def record(variant: str, seed: int, a: float, b: float) -> dict[str, object]:
        return {
            "variant": variant,
            "seed": seed,
            "shared": {"a": a, "b": b},
            "baseline": {"a": 0.5, "b": 0.4},
        }

    lines = quality.table([record("x", 1, 0.51, 0.40), record("x", 2, 0.53, 0.42), record("y", 1, 0.4, 0.4)])
    _, first, second = lines.splitlines()
    # a: +0.01 and +0.03: mean 0.02, standard error 0.01, Student's t with one degree of freedom 12.71
    assert "0.500, +0.0200 ± 0.1271" in first and "0.400, +0.0100 ± 0.1271" in first
    assert "+0.0150 ± 0.1271" in first
    assert second.split()[:2] == ["y", "1"] and "±" not in second

    lines = quality.table(
        [record("recipe", 1, 0.5, 0.4), record("x", 1, 0.51, 0.4), record("x", 2, 0.9, 0.9)]
    )
    # the shared models of seed 1 only: (0.51 + 0.40) / 2 - (0.50 + 0.40) / 2
    assert [line.split()[-1] for line in lines.splitlines()[1:]] == ["–", "+0.0050"]


def test_an_interval_of_equal_differences_is_a_point() -> None:
    assert quality.interval(np.array([0.01, 0.01, 0.01])) == "+0.0100 ± 0.0000"


def test_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_text('{"variant": "x"}\n{"vari')
    assert quality.read_results(file) == [{"variant": "x"}]
    assert quality.read_results(tmp_path / "none") == []


def test_variants_change_fields_that_exist() -> None:
    from dataclasses import replace

    for variant in quality.VARIANTS.values():
        recipe = replace(quality.BASE, **variant.both, **variant.shared)
        assert variant.taught or recipe.distillation == 0


def test_teachers_out_of_fold_differ_from_the_baseline_on_labelled_rows_only(tmp_path: Path) -> None:
    from dataclasses import replace

    from model.rows import open_rows
    from model.spec import BackboneSpec
    from model.train.fit import fit
    from tests.support import tiny_rows as made
    from tests.support.tiny_encoder import make_tiny_backbone

    splits = {
        split: made.tiny_examples(90, seed) for seed, split in enumerate(("train", "validation", "test"))
    }
    rows = made.write_rows(tmp_path / "rows", made.TINY_HEADS, splits)
    recipe = replace(quality.BASE, epochs=1, threads=1, distillation_folds=2)
    same = {
        "backbone": BackboneSpec(name=str(make_tiny_backbone(tmp_path / "encoder"))),
        "rows": rows,
        "place": tmp_path / "kept",
        "fit": lambda job: fit(job, compared_fits.silent),
    }
    baseline = compared_fits.kept_baseline("topic", open_rows(rows).heads["topic"], recipe, **same)
    file = compared_fits.kept_folds("topic", baseline, recipe, **same)
    taught, whole = np.load(file), np.load(baseline / "taught" / "topic.npy")
    labelled = open_rows(rows).split("train").labelled("topic")
    assert ((taught != whole).any(axis=1) == labelled).all() and 0 < labelled.sum() < 90
    before = file.stat().st_mtime_ns
    other = replace(recipe, distillation_teachers="out_of_fold")
    assert compared_fits.kept_folds("topic", baseline, other, **same) == file
    assert file.stat().st_mtime_ns == before


def test_compiling_is_paid_for_by_hand() -> None:
    plain, dynamic, wide, static = compile.VARIANTS
    first = {plain: 4.0, dynamic: 33.0, wide: 4.0, static: 70.0}
    later = {plain: [4.0, 9.0, 3.0], dynamic: [3.0, 3.0, 3.0], wide: [5.0], static: [5.0]}
    values = {m.name: m.value for m in compile.measures_of(100, first, later)}
    assert values["as it is"] == pytest.approx(25.0)
    # 30 s are won back by 0.01 s a row; what is slower is never paid for
    assert values["compiled, dynamic shapes: compiling"] == pytest.approx(30.0)
    assert values["compiled, dynamic shapes: paid for after"] == pytest.approx(3000.0)
    assert values["compiled, dynamic shapes: against the best as it is"] == pytest.approx(4 / 3)
    assert "compiled, two lengths: paid for after" not in values


@pytest.mark.parametrize(("length", "wide"), [(1, 32), (32, 32), (33, 64), (64, 64)])
def test_a_batch_is_widened_to_the_next_length(length: int, wide: int) -> None:
    ids, mask = compile.widened(np.full((2, length), 7), np.ones((2, length), np.int64))
    assert ids.shape == mask.shape == (2, wide) and ids.sum() == 14 * length and mask.sum() == 2 * length


def test_speed_is_the_harmonic_mean_of_two_runs() -> None:
    side = {"rows": 10, "epochs": 2, "threads": 2, "padding_share": 0.02, "mean_metric": 0.7}
    side |= {"cpu_seconds": 4.0, "learning_rate": 5e-5}
    sides = [{**side, "rows_per_s": rate} for rate in (100.0, 50.0, 300.0)]
    measures = {m.name: m for m in train_speed.measures_of(sides)}
    assert measures["Headgate by Trainer"].value == pytest.approx(3.0)
    assert measures["Headgate by Trainer"].met
    sides[0]["mean_metric"] = 0.69
    assert {m.name: m for m in train_speed.measures_of(sides)}["Headgate - Trainer, mean metric"].met is False


def test_rerun_reads_a_ratio() -> None:
    measures = {m.name: m for m in rerun.measures_of([100.0, 51.0], (20.0, 60.0))}
    assert measures["second by first"].met is False
    assert measures["shared by baselines"].value == pytest.approx(1 / 3)


def _run_of_a_seed(seed: int, a: tuple[float, float], b: tuple[float, float]) -> dict[str, Any]:
    compared = [
        {"subject": head, "figures": {"compare": "difference", "shared": shared, "baseline": baseline}}
        for head, (shared, baseline) in {"a": a, "b": b}.items()
    ]
    other = {"subject": "p95 of one request", "figures": {"compare": "budget", "shared": 9.0}}
    verdict = {"outcome": "pass", "findings": [*compared, other]}
    return {"seed": seed, "shared_seconds": 10.0, "baselines_seconds": 40.0, "verdict": verdict}


def test_seeds_are_averaged_by_hand() -> None:
    # a: +0.02 and -0.04; b: +0.01 and +0.03
    found = [_run_of_a_seed(1, (0.52, 0.5), (0.71, 0.7)), _run_of_a_seed(2, (0.46, 0.5), (0.73, 0.7))]
    measures = {m.name: m for m in seeds.measures_of(found, goal_mean=0.004, goal_head=-0.005)}
    assert measures["a: shared - baseline"].value == pytest.approx(-0.01)
    assert measures["a: shared - baseline"].met is False
    assert measures["b: shared - baseline"].value == pytest.approx(0.02)
    mean = measures["mean over heads of shared - baseline, 2 seeds"]
    assert mean.value == pytest.approx(0.005) and mean.met
    assert measures["training: shared by baselines"].value == pytest.approx(0.25)
    _, first, second, both = seeds.table(found).splitlines()
    assert "0.520 - 0.500 = +0.020" in first and "+0.0150" in first and first.endswith("pass")
    assert "0.460 - 0.500 = -0.040" in second and "-0.0050" in second
    # Student's t with one degree of freedom, 12.71, times half of the distance of the two
    assert both.split()[:4] == ["all", "-0.0100", "±", "0.3812"] and "+0.0050 ± 0.1271" in both


def test_a_seed_that_is_done_is_not_run_again_and_a_state_of_two_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "17").mkdir()
    (tmp_path / "17" / seeds.RESULT).write_text("{}")
    seeds.run_seed(tmp_path / "17", tmp_path / "no-such.yaml", {"seed": 17}, None)
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "verdict.json").write_text("{}")
    with pytest.raises(ValueError, match="seen 2 verdicts, expected 1"):
        seeds.registered_verdict(tmp_path)
    assert seeds.registered_verdict(tmp_path / "one") == {}


def test_thresholds_are_read_against_one_half() -> None:
    # Label 0 is answered with 0.27 (logit −1) where it applies and 0.12 (−2) where not: 0.5 finds nothing.
    targets = np.array([[1, 1], [0, 0]] * 30, np.int8)
    logits = np.where(targets == 1, [[-1.0, 3.0]], [[-2.0, -3.0]])
    compared = thresholds.readings(logits, targets, temperature=1.0, thresholds=[0.2, 0.5])
    assert compared.shared.value == pytest.approx(1.0)
    assert compared.baseline.value == pytest.approx(0.5)
    assert compared.difference.lower <= compared.difference.value == pytest.approx(0.5)


def test_operations_of_distilbert_by_hand() -> None:
    # 6 layers of 12·768² weights: 42.5 million; 6 each, and 12·128·768 a layer for attention
    assert gpu.flops_per_token(128, gpu.FULL) == 6 * 42_467_328 + 12 * 128 * 768 * 6


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_gpu_race_runs_alone_in_small() -> None:
    code = (
        "import sys\n"
        "from benchmarks import gpu\n"
        "status = gpu.main(['--tiny'])\n"
        "heavy = {'prefect', 'mlflow', 'great_expectations', 'fastapi', 'polars'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    body = json.loads(done.stdout.splitlines()[-1])
    assert len(body["measures"]) == 11
    assert all(measure["value"] > 0 and measure["goal"] is None for measure in body["measures"])
