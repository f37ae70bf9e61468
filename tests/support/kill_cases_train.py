"""Cases of the kill matrix from the sources to the scores: merge, fit, teach, package, score.

The flow's own tasks on a few rows and a tiny encoder. Their `python -m model …` runs in a fork of this
process instead of a new interpreter, because torch's import takes seconds; a point inside it ends that
process, and the task fails.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model import __main__ as model_command
from model.bundle.reader import Bundle
from model.faults import STEPS
from model.jobs import baselines, fit, package, score
from model.jobs.baselines import BaselineJob, answer_rows, baseline_entry, fit_baseline, package_baseline
from model.jobs.process import ModelProcessError
from model.jobs.progress import Silent
from model.references import BundleRef, FittedRef, Run, ScoresRef
from model.spec import BackboneSpec, HeadSpec, SplitName, TrainSpec
from release.home import Home
from release.leftovers import remove_leftovers
from tests.support.forks import in_a_child
from tests.support.kill_cases import ENDS, Result
from tests.support.runs import make_run
from tests.support.tiny_encoder import WORDS, make_tiny_backbone
from tests.support.toy_release import debris

HEADS = {"topic": HeadSpec(kind="multiclass", labels=("weather", "food", "animal"))}
IN_THE_TASK = ("dataset_written", "dataset_made", "run_folder_made", "teacher_written", "teacher_made")
"""Points that the task's own process passes; the other ones are passed by the process of the model."""

PACKAGED = ("template_written", "template_made", "bundle_written", "bundle_made", "baseline_packaged")
"""Points on the way from a fitted folder to a bundle."""


class TrainCases:
    """The cases of a folder, on one dataset and one fitted baseline.

    Args:
        root: folder for everything.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.log = root, Home(root / "home"), root / "children.log"
        self._number = 0
        _write_csv(root / "rows.csv")
        self._expect(lambda: make_tiny_backbone(root / "encoder"))
        self.dataset = self._merged(root / "rows.csv")
        torch.set_num_threads(1)
        # Once in this process, on one thread: what torch and transformers import late is then there in
        # every child, and no pool of threads that a fork would lose.
        self._run_model_by(_model_here)
        with log_of(self.log):
            self._fit("0")
            self._teach("0")
            self._package("0")
            self._score("0")
        self._run_model_by(_forked_model)

    def _run_model_by(self, run: Callable[..., dict[str, Any]]) -> None:
        for module in (baselines, fit, package, score):
            module.run_model = run  # type: ignore[attr-defined]  # see above

    def close(self) -> None:
        """Nothing runs on."""

    def run(self, point: str, kind: str, repetition: int) -> Result:
        """End the work that passes `point` by `kind`, start again, and look at what it makes."""
        self._number += 1
        work, made = self._work(point, str(self._number))
        code = in_a_child(work, log=self.log, fault=f"{point}:{kind}")
        expected = ENDS[kind] if point in (*IN_THE_TASK, "baseline_packaged") else 1
        flaws = [] if code == expected else [f"exit code {code}, expected {expected}: not ended at {point}"]

        def again() -> None:
            remove_leftovers(self.home)  # as the reconciler does at each start
            work()
            made()

        if in_a_child(again, log=self.log) != 0:
            flaws.append(f"the rerun failed: {self.log.read_text().strip().splitlines()[-1]}")
        flaws += [f"left behind: {path}" for path in debris(self.home)]
        return Result(point, kind, tuple(flaws))

    def _work(self, point: str, key: str) -> tuple[Callable[[], object], Callable[[], object]]:
        """What passes the point, on things of its own, and what raises unless its result is whole."""
        if point in ("dataset_written", "dataset_made"):
            rows = self.root / f"{key}.csv"
            _write_csv(rows, seed=int(key))
            return lambda: self._merge(rows), lambda: _whole(self._merge(rows).path)
        if point == "run_folder_made":
            return self._prepare, lambda: None
        if point.startswith("tokens"):
            shutil.rmtree(self.dataset / "rows" / ".tokens")
        if point in ("tokens_written", "tokens_made", "checkpoint_written", "weights_written", "fit_made"):
            file = baseline_entry(self._job(key), self._run()).folder / "fitted" / "fit.json"
            return lambda: self._fit(key), lambda: json.loads(file.read_text())
        shutil.copytree(Path(self._fit("0").folder) / "fitted", self._place(key) / "fitted")
        if point in ("teacher_written", "teacher_made"):
            return lambda: self._teach(key), lambda: np.load(self._teach(key), allow_pickle=False)
        if point.startswith("template"):
            shutil.rmtree(self.home.cache / "graphs")
        if point in PACKAGED:
            return lambda: self._package(key), lambda: Bundle.load(Path(self._package(key).path), threads=1)
        assert point in STEPS["train"], point
        return lambda: self._score(key), lambda: self._scored(key)

    def _merge(self, rows: Path) -> Any:
        from sources.dataset import build_dataset
        from sources.spec import SourceSpec, SplitSpec

        source = SourceSpec(path=str(rows), heads={"topic": "topic"}, split_column="split")
        split = SplitSpec(near_duplicates="off")
        return build_dataset({"rows": source}, HEADS, split, self.root, self.home.data)

    def _merged(self, rows: Path) -> Path:
        """The dataset's folder, made by a process of its own: polars does not survive a fork."""
        file = self.root / "dataset.txt"
        self._expect(lambda: file.write_text(str(self._merge(rows).path)))
        return Path(file.read_text())

    def _prepare(self) -> None:
        from sources.dataset import open_dataset
        from tasks.data.prepare_run import prepare_run

        prepare_run.fn(
            "toy",
            open_dataset(self.dataset),
            self._backbone,
            TRAIN,
            config=self.root / "rows.csv",
            home=self.home,
        )

    @property
    def _backbone(self) -> BackboneSpec:
        return BackboneSpec(name=str(self.root / "encoder"))

    def _run(self, cache: Path | None = None) -> Run:
        rows = self.dataset / "rows"
        return make_run(
            self.home.root, rows, HEADS, backbone=self._backbone, train=TRAIN, cache=cache or self.home.cache
        )

    def _job(self, key: str) -> BaselineJob:
        return BaselineJob(name="topic", rows=self.dataset / "rows", fingerprint=key)

    def _fit(self, key: str) -> FittedRef:
        return fit_baseline(self._job(key), self._run(), Silent())

    def _place(self, key: str) -> Path:
        """Folder of a fitted baseline that is one of a case alone."""
        return self.home.cache / "baselines" / f"copy-{key}"

    def _fitted(self, key: str) -> FittedRef:
        return (
            FittedRef(folder=str(self._place(key)), seconds=1.0, cached=True)
            if key != "0"
            else self._fit("0")
        )

    def _teach(self, key: str) -> str:
        return answer_rows("topic", self._fitted(key), self.dataset / "rows", self._run(), Silent())

    def _package(self, key: str) -> BundleRef:
        return package_baseline("topic", self._fitted(key), self._run(), "float32", Silent())

    def _score(self, key: str) -> ScoresRef:
        run = self._run(self._scores(key))
        return score.score("baseline:topic", self._package("0"), run, 1, Silent())

    def _scores(self, key: str) -> Path:
        folder = self.home.cache / f"of-{key}"
        folder.mkdir(exist_ok=True)
        return folder

    def _scored(self, key: str) -> None:
        with np.load(self._score(key).path, allow_pickle=False) as arrays:
            assert np.isfinite(arrays["probabilities:topic"]).all()

    def _expect(self, work: Callable[[], object]) -> None:
        if in_a_child(work, log=self.log) != 0:
            raise RuntimeError(f"a step without a fault failed; its log: {self.log.read_text()[-2000:]}")


TRAIN = TrainSpec(epochs=2, batch_rows=16, max_length=16, threads=1, precision="float32")


def _whole(dataset: Path) -> None:
    """Raise unless all of a dataset's folder is there."""
    for name in ("dataset.json", "rows/rows.json", "profile.json"):
        json.loads((dataset / name).read_text())


def _write_csv(path: Path, seed: int = 0) -> None:
    rng = random.Random(seed)
    splits: list[SplitName] = ["train", "train", "train", "validation", "test"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "split"])
        for number in range(150):
            topic = rng.randrange(3)
            words = rng.choices(WORDS[4 * topic : 4 * topic + 4], k=5)
            writer.writerow([" ".join(words), HEADS["topic"].labels[topic], splits[number % 5]])


@contextlib.contextmanager
def log_of(path: Path) -> Iterator[None]:
    """What is printed meanwhile goes to a file."""
    with path.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def _model_here(
    arguments: list[str],
    *,
    log: Path,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
    if_killed: str = "",
) -> dict[str, Any]:
    """As `model.jobs.process.run_model`, in this process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = model_command.main(_on_one_thread(arguments))
    if code != 0:
        raise ModelProcessError(f"`python -m model {arguments[0]}` ended with code {code}")
    lines = [line for line in printed.getvalue().splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def _on_one_thread(arguments: list[str]) -> list[str]:
    """A fork has none of the threads that its parent's products ran on, and would wait for them."""
    if "--threads" in arguments or arguments[0] not in ("teach", "package", "answer"):
        return arguments
    return [*arguments, "--threads", "1"]


def _forked_model(
    arguments: list[str],
    *,
    log: Path,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
    if_killed: str = "",
) -> dict[str, Any]:
    """As `model.jobs.process.run_model`, in a fork."""
    log.parent.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.dup2(write, 1)
            os.close(read)
            code = model_command.main(_on_one_thread(arguments))
        finally:
            os._exit(code)
    os.close(write)
    last: dict[str, Any] = {}
    with os.fdopen(read, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("{"):
                last = json.loads(line)
                if on_event is not None:
                    on_event(last)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0:
        raise ModelProcessError(f"`python -m model {arguments[0]}` ended with code {code}")
    return last
