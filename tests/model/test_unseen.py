"""Which earlier baseline may be taken for one of more rows, and what it lacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.jobs.baselines import BaselineJob, baseline_entry, earlier_baseline, is_kept
from model.measure.unseen import learned_rows, most_unseen, unseen_shares, write_seen
from model.references import Run
from model.spec import HeadSpec, head_from_json
from tests.support.runs import make_run
from tests.support.tiny_rows import write_rows

HEADS: dict[str, dict[str, Any]] = {
    "topic": {"kind": "multiclass", "labels": ["a", "b"]},
    "tags": {"kind": "multilabel", "labels": ["x", "y", "z"]},
}
SPECS: dict[str, HeadSpec] = {name: head_from_json(head) for name, head in HEADS.items()}
Row = dict[str, Any]


def rows(count: int, start: int = 0) -> list[Row]:
    return [
        {"text": f"text {n}", "topic": "ab"[n % 2], "tags": ["x"] if n % 3 else ["y"]}
        for n in range(start, start + count)
    ]


def folder(place: Path, train: Sequence[Row], validation: Sequence[Row] | None = None) -> Path:
    splits = {"train": train, "validation": validation or rows(10, 1000), "test": rows(10, 2000)}
    return write_rows(place, HEADS, splits)


def shares(tmp_path: Path, before: Path, now: Path, head: str = "topic") -> dict[str, float] | None:
    seen = tmp_path / "seen.npz"
    write_seen(learned_rows(before, head, SPECS[head]), seen)
    return unseen_shares(seen, learned_rows(now, head, SPECS[head]), SPECS[head])


def test_the_same_rows_in_another_order_lack_nothing(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "1", rows(20)), folder(tmp_path / "2", rows(20)[::-1])
    assert shares(tmp_path, first, second) == {"a": 0.0, "b": 0.0}


def test_added_rows_by_hand(tmp_path: Path) -> None:
    """20 training and 10 validation rows, then 5 more: 2 of `a` (17 of it now), 3 of `b` (18)."""
    more = [*rows(20), *rows(5, 21)]
    found = shares(tmp_path, folder(tmp_path / "1", rows(20)), folder(tmp_path / "2", more))
    assert found is not None
    of_all = 5 / 35
    assert found == {"a": pytest.approx(max(2 / 17, of_all)), "b": pytest.approx(max(3 / 18, of_all))}
    now = learned_rows(tmp_path / "2", "topic", SPECS["topic"])
    weighted = (found["a"] * 17 + found["b"] * 18) / 35
    assert most_unseen(found, now, SPECS["topic"]) == pytest.approx(max(weighted, sum(found.values()) / 2))


def test_a_label_that_is_new_lacks_all_its_rows(tmp_path: Path) -> None:
    more = [*rows(20), {"text": "other", "topic": "a", "tags": ["z"]}]
    found = shares(tmp_path, folder(tmp_path / "1", rows(20)), folder(tmp_path / "2", more), "tags")
    assert found is not None and found["z"] == 1.0 and found["x"] == pytest.approx(1 / 31)


def changed(**by: Any) -> list[Row]:
    return [{**rows(1)[0], **by}, *rows(19, 1)]


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (rows(19), None),
        (changed(topic="b"), None),
        (changed(text="another"), None),
        (rows(19), [*rows(10, 1000), *rows(1, 19)]),
    ],
    ids=["taken away", "another label", "another text", "in another split"],
)
def test_anything_but_added_rows_is_no_ground(
    tmp_path: Path, train: list[Row], validation: list[Row] | None
) -> None:
    now = folder(tmp_path / "2", train, validation)
    assert shares(tmp_path, folder(tmp_path / "1", rows(20)), now) is None


def test_another_weight_is_no_ground(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "1", rows(20)), folder(tmp_path / "2", rows(20))
    np.save(second / "train.weight.npy", np.full(20, 2, np.float32))
    assert shares(tmp_path, first, second) is None


@pytest.mark.parametrize("content", [b"", b"not arrays"])
def test_a_file_that_cannot_be_read_is_no_ground(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seen.npz").write_bytes(content)
    now = learned_rows(folder(tmp_path / "1", rows(20)), "topic", SPECS["topic"])
    assert unseen_shares(tmp_path / "seen.npz", now, SPECS["topic"]) is None


@given(old=st.integers(3, 40), new=st.integers(0, 40))
def test_no_share_is_less_than_that_of_all_rows(
    tmp_path_factory: pytest.TempPathFactory, old: int, new: int
) -> None:
    place = tmp_path_factory.mktemp("rows")
    first, second = folder(place / "1", rows(old)), folder(place / "2", rows(old + new))
    found = shares(place, first, second)
    assert found is not None
    assert all(new / (old + new + 10) - 1e-12 <= share < 1 for share in found.values())


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[Path, float], tuple[Run, BaselineJob]]:
    """A run on a rows folder, whose cache holds a baseline that was fitted on 200 rows and 10 more."""

    def of(place: Path, new_rows: float) -> tuple[Run, BaselineJob]:
        digest = json.loads((place / "rows.json").read_text())["digest"]["train"]
        run = make_run(tmp_path, place, SPECS)
        return run, BaselineJob(name="topic", rows=place, fingerprint=digest, new_rows=new_rows)

    from model.jobs.baselines import _seen_file

    first = folder(tmp_path / "first", rows(200))
    run, job = of(first, 0.0)
    with baseline_entry(job, run).making() as making:
        assert making is not None
        (making / "fitted").mkdir()
        (making / "fitted" / "fit.json").write_text('{"seconds": 7.0}')
        write_seen(learned_rows(first, "topic", SPECS["topic"]), making / _seen_file(job, run))
    return of


def test_an_earlier_baseline_is_taken_within_the_limit(
    tmp_path: Path, kept: Callable[[Path, float], tuple[Run, BaselineJob]]
) -> None:
    now = folder(tmp_path / "now", rows(202))
    for new_rows, found in ((0.0, False), (0.005, False), (0.02, True)):
        run, job = kept(now, new_rows)
        earlier = earlier_baseline(job, run)
        assert (earlier is not None, is_kept(job, run)) == (found, found), new_rows
    assert earlier is not None and earlier.cached and earlier.seconds == 7.0
    assert 0.009 < min(earlier.unseen.values()) <= max(earlier.unseen.values()) < 0.011


def test_a_damaged_one_is_not_taken(
    tmp_path: Path, kept: Callable[[Path, float], tuple[Run, BaselineJob]]
) -> None:
    run, job = kept(folder(tmp_path / "now", rows(202)), 0.02)
    [file] = (run.cache / "baselines").glob("*/fitted/fit.json")
    file.write_text('{"seconds": 8.0}')
    assert earlier_baseline(job, run) is None


def test_another_recipe_is_another_line(
    tmp_path: Path, kept: Callable[[Path, float], tuple[Run, BaselineJob]]
) -> None:
    from dataclasses import replace

    run, job = kept(folder(tmp_path / "now", rows(202)), 0.02)
    assert earlier_baseline(job, replace(run, train=replace(run.train, epochs=run.train.epochs + 1))) is None
    assert earlier_baseline(replace(job, seed=18), run) is None
    assert earlier_baseline(replace(job, name="tags"), run) is None
