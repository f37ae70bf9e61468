"""The shared training is found by what it is made of: goes on after a kill, is done once by two at a time."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from model.cache import COMPLETE, Cache, sweep_unfinished
from model.jobs.fit import fit_shared, shared_entry
from model.jobs.process import ModelProcessError
from model.jobs.progress import Silent
from model.references import FittedRef, Run
from model.spec import BackboneSpec, TrainSpec, head_from_json
from tests.support.runs import make_run
from tests.support.tiny_rows import TINY_HEADS

RECIPE = TrainSpec(epochs=2, batch_rows=16, max_length=16, threads=1, checkpoint_every_steps=3, seed=5)


@pytest.fixture
def run(tiny_rows: Path, tiny_backbone: Path, tmp_path: Path) -> Run:
    heads = {name: head_from_json(head) for name, head in TINY_HEADS.items()}
    return make_run(tmp_path, tiny_rows, heads, backbone=BackboneSpec(name=str(tiny_backbone)), train=RECIPE)


def losses(fitted: FittedRef) -> object:
    return json.loads((Path(fitted.folder) / "fitted" / "history.json").read_text())


def next_run(run: Run) -> Run:
    """Another run of the same project, such as tomorrow's."""
    return replace(run, id="next", folder=run.folder.with_name("next"))


@pytest.mark.slow
def test_killed_it_goes_on_in_the_next_run_to_the_losses_of_an_unbroken_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("HEADGATE_FAULT", "checkpoint_written:kill")
        with pytest.raises(ModelProcessError) as caught:
            fit_shared(run, {}, Silent())
    assert "was killed" in str(caught.value) and "Lower train.batch_rows (now 16)" in str(caught.value)
    entry = shared_entry(run, {})
    assert (entry.folder / "fitted" / "checkpoint.safetensors").is_file() and not entry.complete
    tomorrow = next_run(run)
    went_on = fit_shared(tomorrow, {}, Silent())
    assert not list(Path(went_on.folder).rglob("checkpoint.safetensors")), "nothing is left of it"
    unbroken = fit_shared(tomorrow, {}, Silent(), fresh=True)
    assert Path(unbroken.folder) == tomorrow.folder / "shared"
    assert losses(went_on) == losses(unbroken)
    found = fit_shared(run, {}, Silent())
    assert found.cached and found.folder == went_on.folder


def test_of_two_at_a_time_one_trains_and_the_other_waits_for_it(run: Run) -> None:
    found: list[FittedRef] = []
    both = [
        threading.Thread(target=lambda one=one: found.append(fit_shared(one, {}, Silent())))
        for one in (run, next_run(run))
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(one.cached for one in found) == [False, True]
    assert found[0].folder == found[1].folder


def test_what_it_depends_on_is_in_its_name(run: Run, tmp_path: Path) -> None:
    teacher = tmp_path / "topic.npy"
    teacher.write_bytes(b"logits")
    one = shared_entry(run, {"topic": str(teacher)}).folder
    moved = tmp_path / "elsewhere.npy"
    moved.write_bytes(b"logits")
    assert shared_entry(run, {"topic": str(moved)}).folder == one, "teachers count by what they say"
    teacher.write_bytes(b"others")
    others = [
        shared_entry(run, {"topic": str(teacher)}),
        shared_entry(run, {}),
        shared_entry(replace(run, train=replace(RECIPE, seed=6)), {}),
        shared_entry(replace(run, texts_sha256="other"), {}),
        shared_entry(replace(run, encoder_sha256="other"), {}),
    ]
    assert len({entry.folder for entry in others} | {one}) == len(others) + 1
    assert shared_entry(next_run(run), {}).folder == shared_entry(run, {}).folder


def test_what_nobody_went_on_with_is_swept_and_nothing_else(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old = time.time() - 3600
    for name in ("whole", "begun", "new", "held"):
        folder = cache.entry("shared", name).folder
        folder.mkdir(parents=True)
        (folder / "checkpoint.safetensors").write_bytes(b"x")
        if name == "whole":
            (folder / COMPLETE).write_text("{}")
        if name != "new":
            for path in (*folder.iterdir(), folder):
                os.utime(path, (old, old))
    with cache.entry("shared", "held").making(resume=True):
        assert sweep_unfinished(tmp_path, ("shared", "sweep"), older_than_s=1800) == ["shared/begun"]
    assert {path.name for path in (tmp_path / "shared").iterdir() if path.is_dir()} == {
        "whole",
        "new",
        "held",
    }
