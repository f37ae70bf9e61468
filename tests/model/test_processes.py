"""Several processes train as one: the same losses within rounding, and one of them writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from model.rows import open_rows
from model.spec import BackboneSpec, FitJob, TrainSpec
from model.train.device import Processes
from model.train.fit import fit

PROJECT = Path(__file__).resolve().parents[2]


def test_each_row_is_in_one_part() -> None:
    batch = np.arange(7)
    parts = [Processes(count=3, rank=rank).part(batch) for rank in range(3)]
    assert sorted(np.concatenate(parts).tolist()) == batch.tolist()
    assert [len(Processes(count=3, rank=rank).part(batch[:2])) for rank in range(3)] == [1, 1, 0]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_processes_have_the_losses_of_one(tiny_backbone: Path, tiny_rows: Path, tmp_path: Path) -> None:
    # 120 rows in batches of 17: the last batch of an epoch has one row, which only one process takes.
    recipe = TrainSpec(
        epochs=2,
        batch_rows=17,
        max_length=16,
        learning_rate=1e-3,
        threads=1,
        precision="float32",
        distillation=0.0,
        dropout=0.0,  # each process draws its own
        checkpoint_every_steps=5,
    )
    alone = FitJob(
        heads=open_rows(tiny_rows).heads,
        backbone=BackboneSpec(name=str(tiny_backbone)),
        train=recipe,
        rows=str(tiny_rows),
        out=str(tmp_path / "alone"),
    )
    fit(alone, lambda event: None)
    both = replace(alone, out=str(tmp_path / "both"))
    (tmp_path / "job.json").write_text(json.dumps(asdict(both)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # On CPUs `accelerate launch` starts a single process (unless there is MPI); torch's own launcher sets the
    # same variables.
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    done = subprocess.run(
        [*launch, "-m", "model", "fit", str(tmp_path / "job.json")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "ACCELERATE_USE_CPU": "true"},
        cwd=tmp_path,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [e["event"] for e in events].count("done") == 1, "only the main process reports"
    one, two = (json.loads((Path(job.out) / "history.json").read_text()) for job in (alone, both))
    assert len(one["steps"]) == len(two["steps"]) == 16
    for here, there in zip(one["steps"], two["steps"], strict=True):
        assert there["heads"] == pytest.approx(here["heads"], rel=2e-3, abs=1e-5)
    assert json.loads((Path(both.out) / "fit.json").read_text())["processes"] == 2
    assert not (Path(both.out) / "checkpoint.safetensors").exists()
