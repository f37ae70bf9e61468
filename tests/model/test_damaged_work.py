"""Bundles, teachers' answers, scores and cheap answers that were damaged in the cache are made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from model.bundle.reader import Bundle
from model.jobs.baselines import answer_rows, package_baseline
from model.jobs.cheap_answers import cheap_answers
from model.jobs.progress import Silent
from model.jobs.score import score
from model.references import FittedRef, Run
from model.spec import head_from_json
from tests.support.runs import make_run
from tests.support.tiny_rows import TINY_HEADS


@pytest.fixture
def run(tiny_rows: Path, tmp_path: Path) -> Run:
    heads = {name: head_from_json(head) for name, head in TINY_HEADS.items()}
    return make_run(tmp_path, tiny_rows, heads)


@pytest.fixture
def baseline(tiny_fitted: Path, run: Run) -> FittedRef:
    """A fitted folder where baselines are kept."""
    folder = run.cache / "baselines" / "key"
    shutil.copytree(tiny_fitted, folder / "fitted")
    return FittedRef(folder=str(folder), seconds=1.0, cached=True)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5] + b"\x00\x01\x02\x03\x04")


def whole_and_made_again(make: Callable[[], Path]) -> tuple[tuple[Path, bytes], tuple[Path, bytes]]:
    """Make it, damage it, make it again: where it lies and what it holds, before and after."""
    file = make()
    whole = file, file.read_bytes()
    damage(file)
    again = make()
    return whole, (again, again.read_bytes())


def test_a_bundle(baseline: FittedRef, run: Run) -> None:
    def make() -> Path:
        return Path(package_baseline("topic", baseline, run, "float32", Silent()).path)

    whole, again = whole_and_made_again(lambda: make() / "model.onnx")
    assert again == whole
    assert list(Bundle.load(make(), threads=1).card.heads) == ["topic", "names"]


@pytest.mark.slow
def test_teachers_answers(baseline: FittedRef, run: Run) -> None:
    whole, again = whole_and_made_again(lambda: Path(answer_rows("topic", baseline, run.rows, run, Silent())))
    assert again == whole


@pytest.mark.slow
def test_scores_and_cheap_answers(baseline: FittedRef, run: Run) -> None:
    bundle = package_baseline("topic", baseline, run, "float32", Silent())
    for make in (
        lambda: Path(score("baseline:topic", bundle, run, 1, Silent()).path),
        lambda: Path(cheap_answers("topic", run, ("majority",), Silent()).path),
    ):
        file = make()
        size = file.stat().st_size
        damage(file)
        file = make()
        assert file.stat().st_size == size and file.read_bytes()[-5:] != b"\x00\x01\x02\x03\x04"
