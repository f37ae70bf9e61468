"""What is said of memory: before a training that will not fit, and after one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from model.jobs import memory, process
from model.jobs.memory import MemoryWatch, available_mib, estimate_fit_mib, memory_warning
from model.jobs.process import ModelProcessError, run_model
from model.spec import BackboneSpec, TrainSpec
from model.train.backbone import resolve

TRAIN = TrainSpec(precision="bfloat16")
TOKENS = {"splits": {"train": {"max": 128}, "test": {"max": 90}}}


@pytest.fixture(scope="module")
def encoder() -> Path:
    return resolve(BackboneSpec(name="offline")).folder


def test_the_estimate_is_of_weights_moments_and_activations(encoder: Path) -> None:
    """MiniLM: 22,713,216 weights, of which 30,522 × 384 are word embeddings; 6 layers of 12 heads."""
    weights, embeddings = 22_713_216, 30_522 * 384
    layer = 32 * 128 * 384 * (34 + 5 * 12 * 128 / 384)
    expected = memory.BASE_MIB + (4 * weights + 12 * (weights - embeddings) + 6 * layer) / 2**20
    assert estimate_fit_mib(encoder, TRAIN, 500) == pytest.approx(expected, rel=0.01)


def test_smaller_batches_and_shorter_texts_take_less(encoder: Path) -> None:
    of = [
        estimate_fit_mib(encoder, spec, longest) or 0.0
        for spec, longest in (
            (TRAIN, 128),
            (replace(TRAIN, batch_rows=8), 128),
            (replace(TRAIN, batch_tokens=1024), 128),
            (replace(TRAIN, max_length=64), 128),
            (TRAIN, 40),
        )
    ]
    assert all(one < of[0] for one in of[1:])
    assert (estimate_fit_mib(encoder, replace(TRAIN, precision="float32"), 128) or 0) > of[0]
    assert (estimate_fit_mib(encoder, replace(TRAIN, frozen_embeddings=False), 128) or 0) > of[0]


def test_only_what_will_not_fit_is_said(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < available_mib() < 2**30
    monkeypatch.setattr(memory, "available_mib", lambda: 10**6)
    assert memory_warning(encoder, TRAIN, TOKENS) == ""
    monkeypatch.setattr(memory, "available_mib", lambda: 100.0)
    said = memory_warning(encoder, TRAIN, TOKENS)
    assert "100 MiB are free" in said and "lower train.batch_rows (now 32)" in said
    assert memory_warning(Path("/nowhere"), TRAIN, TOKENS) == "", "what can't be estimated is not said"


def test_what_a_process_held_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SAMPLE_S", 0.02)
    code = "kept = bytearray(60 * 2**20); print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        assert made.stdout is not None and made.stdout.readline() == "up\n"
        with MemoryWatch(made.pid) as watch:
            time.sleep(0.2)
        made.kill()
    assert watch.held_mib > 60 and watch.free_mib > 0
    assert "probably because memory ran out; it held up to" in watch.said()


def test_a_killed_process_says_so_and_what_to_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = subprocess.Popen

    def killed(*arguments: object, **options: object) -> object:
        made = began(*arguments, **options)  # type: ignore[call-overload]
        os.kill(made.pid, signal.SIGKILL)
        return made

    monkeypatch.setattr(process.subprocess, "Popen", killed)
    with pytest.raises(ModelProcessError) as caught:
        run_model(["fit", "job.json"], log=tmp_path / "log", if_killed="Lower train.batch_rows (now 32)")
    said = str(caught.value)
    assert "`python -m model fit` was killed, " in said and "memory ran out" in said
    assert "Lower train.batch_rows (now 32), and run again" in said and "code -9" not in said
