"""Training as a user sees it: a job in, a fitted folder out; killed, it goes on to the same bits."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.errors import BadInput, TrainingDiverged
from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, TrainSpec
from model.train.fit import fit
from model.train.loop import Training
from model.train.network import load_fitted
from model.train.teach import teach

PROJECT = Path(__file__).resolve().parents[2]
RECIPE = TrainSpec(
    epochs=2,
    batch_rows=16,
    max_length=16,
    learning_rate=1e-3,
    threads=1,
    precision="float32",
    distillation=0.0,
)


def _silent(event: Mapping[str, Any]) -> None:
    pass


@pytest.fixture
def job(tiny_backbone: Path, tiny_rows: Path, tmp_path: Path) -> FitJob:
    return FitJob(
        heads=open_rows(tiny_rows).heads,
        backbone=BackboneSpec(name=str(tiny_backbone)),
        train=RECIPE,
        rows=str(tiny_rows),
        out=str(tmp_path / "fitted"),
    )


def _weights(job: FitJob) -> dict[str, torch.Tensor]:
    return load_file(Path(job.out) / "weights.safetensors")


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_a_fitted_folder_is_complete_and_learns(job: FitJob) -> None:
    events: list[Mapping[str, Any]] = []
    facts = fit(replace(job, train=replace(RECIPE, epochs=12)), events.append)
    out = Path(job.out)
    assert {path.name for path in out.iterdir()} == {
        "weights.safetensors",
        "network.json",
        "tokenizer.json",
        "history.json",
        "calibration.json",
        "fit.json",
    }
    assert facts == json.loads((out / "fit.json").read_text())
    assert facts["validation"]["topic"]["accuracy"] > 0.6  # 0.33 by chance
    assert facts["below_majority"] == []
    assert 0 <= facts["padding_share"] < 0.2
    assert facts["rows_per_s"] > 0 and facts["epochs"] == 12 and 1 <= facts["best_epoch"] <= 12
    history = json.loads((out / "history.json").read_text())
    assert [e["epoch"] for e in history["epochs"]] == list(range(1, 13))
    assert history["steps"][-1]["loss"] < history["steps"][0]["loss"]
    assert set(history["steps"][0]["heads"]) == {"topic", "names"}
    # balanced losses of two heads that begin at their labels' frequencies: each near 1 x share^0.5
    assert history["steps"][0]["loss"] == pytest.approx(2 * math.sqrt(100 / 120), rel=0.25)
    calibration = json.loads((out / "calibration.json").read_text())
    assert calibration["topic"]["thresholds"] is None
    assert len(calibration["names"]["thresholds"]) == 4
    assert all(0 < t < 1 for t in calibration["names"]["thresholds"])
    assert events[-1]["event"] == "done"
    assert {e["event"] for e in events} == {"step", "epoch", "done"}
    model = load_fitted(out)
    assert list(model.heads) == ["topic", "names"] and model.max_length == 16


def test_same_seed_same_bits_and_other_seed_other(job: FitJob, tmp_path: Path) -> None:
    fit(job, _silent)
    again = replace(job, out=str(tmp_path / "again"))
    fit(again, _silent)
    other = replace(job, out=str(tmp_path / "other"), train=replace(RECIPE, seed=18))
    fit(other, _silent)
    assert _same(_weights(job), _weights(again))
    assert not _same(_weights(job), _weights(other))


def test_killed_at_any_step_it_resumes_to_the_same_bits(job: FitJob, tmp_path: Path) -> None:
    recipe = replace(RECIPE, checkpoint_every_steps=3, ema_decay=0.9, encoder_dropout=0.1)
    whole = replace(job, out=str(tmp_path / "whole"), train=recipe)
    fit(whole, _silent)

    class Killed(Exception):
        pass

    for stop in (2, 5, 8, 13):
        broken = replace(job, out=str(tmp_path / f"broken{stop}"), train=recipe)

        def on_event(event: Mapping[str, Any], stop: int = stop) -> None:
            if event["event"] == "step" and event["step"] == stop:
                raise Killed

        with pytest.raises(Killed):
            fit(broken, on_event)
        assert not (Path(broken.out) / "fit.json").exists()
        torch.manual_seed(999)
        events: list[Mapping[str, Any]] = []
        fit(broken, events.append)
        if stop > 3:
            assert events[0]["event"] == "resumed" and events[0]["step"] > 0
        assert _same(_weights(whole), _weights(broken)), stop
        steps = [json.loads((Path(x.out) / "history.json").read_text()) for x in (whole, broken)]
        assert steps[0] == steps[1]


def test_two_threads_in_half_precision_resume_to_the_same_bits(job: FitJob, tmp_path: Path) -> None:
    recipe = replace(RECIPE, checkpoint_every_steps=3, threads=2, precision="bfloat16")
    whole = replace(job, out=str(tmp_path / "whole"), train=recipe)
    fit(whole, _silent)
    broken = replace(job, out=str(tmp_path / "broken"), train=recipe)

    class Killed(Exception):
        pass

    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 8:
            raise Killed

    with pytest.raises(Killed):
        fit(broken, on_event)
    torch.manual_seed(999)
    fit(broken, _silent)
    assert _same(_weights(whole), _weights(broken))


def test_kill_minus_nine_and_resume(job: FitJob, tmp_path: Path) -> None:
    recipe = replace(RECIPE, checkpoint_every_steps=2, epochs=3)
    whole = replace(job, out=str(tmp_path / "whole"), train=recipe)
    fit(whole, _silent)
    broken = replace(job, out=str(tmp_path / "broken"), train=recipe)
    file = tmp_path / "job.json"
    file.write_text(json.dumps(asdict(broken)))
    command = [sys.executable, "-m", "model", "fit", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("step") == 10:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    assert (Path(broken.out) / "checkpoint.safetensors").is_file()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["event"] == "resumed" and lines[-1]["event"] == "done"
    assert _same(_weights(whole), _weights(broken))


def test_a_checkpoint_of_another_recipe_is_not_taken_up(job: FitJob, tmp_path: Path) -> None:
    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(job, on_event)
    changed = replace(job, train=replace(RECIPE, learning_rate=2e-3))
    fresh = replace(changed, out=str(tmp_path / "fresh"))
    fit(changed, _silent)
    fit(fresh, _silent)
    assert _same(_weights(changed), _weights(fresh))


def test_a_checkpoint_of_other_threads_is_taken_up(job: FitJob) -> None:
    """How many there are depends on what else is trained: a training that was killed goes on all the same."""

    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "epoch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(replace(job, train=replace(RECIPE, checkpoint_every_steps=2)), on_event)
    seen: list[str] = []
    again = replace(RECIPE, checkpoint_every_steps=2, threads=2)
    fit(replace(job, train=again), lambda event: seen.append(event["event"]))
    assert seen[0] == "resumed"


@pytest.mark.parametrize("damaged", ["checkpoint.safetensors", "best.safetensors"])
def test_with_a_damaged_checkpoint_it_begins_anew(job: FitJob, damaged: str, tmp_path: Path) -> None:
    def on_event(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(job, on_event)
    file = Path(job.out) / damaged
    file.write_bytes(file.read_bytes()[:-9])
    events: list[Mapping[str, Any]] = []
    fit(job, events.append)
    assert "resumed" not in {event["event"] for event in events}
    fresh = replace(job, out=str(tmp_path / "fresh"))
    fit(fresh, _silent)
    assert _same(_weights(job), _weights(fresh))


def test_a_loss_that_is_not_finite_names_step_head_and_rows(job: FitJob) -> None:
    with pytest.raises(TrainingDiverged, match=r"step \d+ of 16: the loss of .*topic.* not finite.*\d+, \d+"):
        fit(replace(job, train=replace(RECIPE, learning_rate=1e30, head_learning_rate=1e30)), _silent)
    assert not (Path(job.out) / "fit.json").exists()


@pytest.mark.parametrize("points", [5, 200])
def test_losses_that_are_looked_at_late_are_the_same_points(
    job: FitJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: int
) -> None:
    """On a GPU the host must not wait in every step."""
    monkeypatch.setattr("model.train.loop.LOG_POINTS", points)
    fit(job, _silent)
    later, usual = replace(job, out=str(tmp_path / "later")), Training.__init__

    def rarely(self: Training, *given: Any, **named: Any) -> None:
        usual(self, *given, **named)
        self.read_every = 3 * self.log_every

    monkeypatch.setattr(Training, "__init__", rarely)
    events: list[Mapping[str, Any]] = []
    fit(later, events.append)
    at_once, late = (json.loads((Path(j.out) / "history.json").read_text()) for j in (job, later))
    assert late == at_once and len(late["steps"]) > 3
    assert [e["step"] for e in events if e["event"] == "step"] == [p["step"] for p in late["steps"]]


def test_frozen_embeddings_stay_as_pretrained(job: FitJob, tiny_backbone: Path) -> None:
    before = load_file(tiny_backbone / "model.safetensors")["embeddings.word_embeddings.weight"]
    fit(job, _silent)
    name = "encoder.embeddings.word_embeddings.weight"
    assert _weights(job)[name].equal(before)
    fit(replace(job, train=replace(RECIPE, frozen_embeddings=False)), _silent)
    assert not _weights(job)[name].equal(before)


def test_a_baseline_sees_only_the_rows_of_its_head(job: FitJob, tmp_path: Path) -> None:
    alone = replace(job, heads={"topic": job.heads["topic"]}, labelled_only=True)
    assert fit(alone, _silent)["rows"] == 100
    assert fit(replace(job, out=str(tmp_path / "all")), _silent)["rows"] == 120


def test_bfloat16_trains_too(job: FitJob) -> None:
    facts = fit(replace(job, train=replace(RECIPE, precision="bfloat16", pooling="attention")), _silent)
    assert facts["precision"] == "bfloat16"
    assert np.isfinite(facts["validation"]["names"]["macro_f1"])


def test_teachers_answer_every_row_and_change_the_student(
    job: FitJob, tiny_rows: Path, tmp_path: Path
) -> None:
    baseline = replace(job, heads={"topic": job.heads["topic"]}, labelled_only=True)
    fit(baseline, _silent)
    files = teach(
        Path(baseline.out), tiny_rows, tmp_path / "teacher", threads=1, precision="float32", on_event=_silent
    )
    logits = np.load(files["topic"])
    assert logits.shape == (120, 3) and logits.dtype == np.float32 and np.isfinite(logits).all()
    taught = replace(
        job,
        out=str(tmp_path / "taught"),
        train=replace(RECIPE, distillation=0.5),
        teachers={"topic": str(files["topic"])},
    )
    plain = replace(job, out=str(tmp_path / "plain"))
    fit(taught, _silent)
    fit(plain, _silent)
    assert not _same(_weights(taught), _weights(plain))
    np.save(tmp_path / "short.npy", logits[:-1])
    with pytest.raises(
        BadInput, match=r"teachers\.topic: seen float32 \(119, 3\), expected float32 \(120, 3\)"
    ):
        fit(replace(taught, teachers={"topic": str(tmp_path / "short.npy")}), _silent)


def test_test_rows_are_never_read(job: FitJob, tiny_rows: Path) -> None:
    hidden = {
        path: path.with_suffix(".hidden") for path in tiny_rows.glob("test.*") if path.suffix != ".hidden"
    }
    fit(job, _silent)
    calibrated = (Path(job.out) / "calibration.json").read_text()
    for path, away in hidden.items():
        path.rename(away)
    try:
        fit(job, _silent)
    finally:
        for path, away in hidden.items():
            away.rename(path)
    assert (Path(job.out) / "calibration.json").read_text() == calibrated


def test_a_head_that_learns_nothing_is_named(
    job: FitJob, make_rows: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = {"coin": {"kind": "multiclass", "labels": ["a", "b"]}}
    random = np.random.default_rng(0)

    def noise(n: int) -> list[dict[str, Any]]:
        return [{"text": "sun", "coin": "a" if random.random() < 0.8 else "b"} for _ in range(n)]

    rows = make_rows(tmp_path / "noise", head, {"train": noise(60), "validation": noise(40)})
    facts = fit(replace(job, rows=str(rows), heads=open_rows(rows).heads), _silent)
    assert facts["below_majority"] == ["coin"]
    assert "'coin' never beat its majority class" in capsys.readouterr().err


def test_what_cannot_be_trained_is_refused(
    job: FitJob, make_rows: Callable[..., Path], tmp_path: Path, tiny_rows: Path
) -> None:
    with pytest.raises(BadInput, match="takes at most 64 tokens"):
        fit(replace(job, train=replace(RECIPE, max_length=65)), _silent)
    head = {"topic": {"kind": "multiclass", "labels": ["a", "b"]}}
    rows = make_rows(
        tmp_path / "r", head, {"train": [{"text": "a", "topic": "a"}], "validation": [{"text": "b"}]}
    )
    with pytest.raises(BadInput, match="head 'topic': no labelled row in the split 'validation'"):
        fit(replace(job, rows=str(rows), heads=open_rows(rows).heads), _silent)


@pytest.mark.parametrize("file", ["weights.safetensors", "network.json", "tokenizer.json", "fit.json"])
def test_a_fitted_folder_with_a_missing_or_cut_file_is_refused(job: FitJob, file: str) -> None:
    fit(job, _silent)
    path = Path(job.out) / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if file != "tokenizer.json":
        with pytest.raises(BadInput, match=file.replace(".", r"\.")):
            load_fitted(Path(job.out))
    path.unlink()
    with pytest.raises(BadInput, match=file.replace(".", r"\.")):
        load_fitted(Path(job.out))


def test_bad_jobs_end_with_code_two_and_one_clear_line(tmp_path: Path, job: FitJob) -> None:
    file = tmp_path / "job.json"
    raw = asdict(job)
    raw["heads"]["topic"]["labels"] = ["only"]
    raw["teachers"] = {"mood": "x.npy"}
    file.write_text(json.dumps(raw))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "model", "fit", str(file)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "heads.topic.labels: seen 1, expected 2 or more; teachers.mood: no such head" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 60
