"""Scores are the bundle's answers to the rows, in their order, with the rows' targets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle.reader import Bundle
from model.errors import BadInput
from model.export.answers import answers
from model.measure import score as scoring
from model.measure.score import main, score
from model.train.device import choose_compute


@pytest.fixture(scope="module")
def bundle(tiny_bundles: dict[str, Path]) -> Bundle:
    return Bundle.load(tiny_bundles["float32"], threads=1)


def test_rows_keep_their_order_in_any_batches(
    bundle: Bundle, tiny_rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [json.loads(line) for line in (tiny_rows / "test.texts.jsonl").read_text().splitlines()]
    alone = {
        head: np.concatenate([bundle.probabilities([t])[head] for t in texts]) for head in ("topic", "names")
    }
    for chunk in (7, 512):
        monkeypatch.setattr(scoring, "CHUNK_ROWS", chunk)
        arrays = score(bundle, tiny_rows, "test")
        for head, expected in alone.items():
            np.testing.assert_allclose(arrays[f"probabilities:{head}"], expected, atol=1e-6)


def test_the_file_holds_what_the_contract_says(
    tiny_bundles: dict[str, Path], tiny_rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "scores.npz"
    assert (
        main(
            [
                str(tiny_bundles["int8"]),
                str(tiny_rows),
                "--split",
                "test",
                "--out",
                str(out),
                "--threads",
                "1",
            ]
        )
        == 0
    )
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0] == {"event": "scored", "done": 60, "total": 60}
    assert (events[-1]["event"], events[-1]["rows"]) == ("done", 60)
    with np.load(out, allow_pickle=False) as arrays:
        shapes = {name: (arrays[name].dtype.name, arrays[name].shape) for name in arrays.files}
        np.testing.assert_array_equal(arrays["targets:topic"], np.load(tiny_rows / "test.topic.npy"))
        np.testing.assert_array_equal(arrays["decisions:topic"], arrays["probabilities:topic"].argmax(1))
        np.testing.assert_array_equal(arrays["decisions:names"], arrays["probabilities:names"] >= 0.4)
    assert shapes == {
        "probabilities:topic": ("float32", (60, 3)),
        "decisions:topic": ("int32", (60,)),
        "targets:topic": ("int32", (60,)),
        "probabilities:names": ("float32", (60, 4)),
        "decisions:names": ("int8", (60, 4)),
        "targets:names": ("int8", (60, 4)),
    }
    assert [entry.name for entry in out.parent.iterdir()] == ["scores.npz"]


def test_rows_of_other_labels_are_refused(
    bundle: Bundle, make_rows: Callable[..., Path], tmp_path: Path
) -> None:
    heads: dict[str, Any] = {
        "topic": {"kind": "multiclass", "labels": ["food", "weather", "animal"]},
        "names": {"kind": "multilabel", "labels": ["sun", "tea", "cat", "fox"]},
    }
    rows = make_rows(tmp_path, heads, {"test": [{"text": "sun", "topic": "food", "names": []}]})
    with pytest.raises(BadInput, match=r"topic.*names and order"):
        score(bundle, rows, "test")


def test_an_older_bundle_is_scored_on_rows_of_other_labels_and_heads(
    bundle: Bundle, make_rows: Callable[..., Path], tmp_path: Path
) -> None:
    heads: dict[str, Any] = {
        "topic": {"kind": "multiclass", "labels": ["weather", "space", "food", "animal"]},
        "mood": {"kind": "multiclass", "labels": ["good", "bad"]},
    }
    row = {"text": "sun", "topic": "food", "mood": "bad"}
    rows = make_rows(tmp_path, heads, {"test": [row]})
    arrays = score(bundle, rows, "test", older=True)
    # Its heads by their own names, the rows' by theirs: one may have been renamed.
    answers = {f"{what}:{head}" for what in ("probabilities", "decisions") for head in bundle.card.heads}
    assert set(arrays) == {*answers, "targets:topic", "targets:mood"}
    assert arrays["targets:topic"].tolist() == [2]  # in the rows' order
    assert arrays["probabilities:topic"].shape == (1, 3)  # in the bundle's


def test_rows_that_no_head_of_the_bundle_labels_are_not_answered(
    bundle: Bundle, make_rows: Callable[..., Path], tmp_path: Path
) -> None:
    heads: dict[str, Any] = {
        **{name: {"kind": h.kind, "labels": list(h.labels)} for name, h in bundle.card.heads.items()},
        "mood": {"kind": "multiclass", "labels": ["good", "bad"]},
    }
    labelled = {"text": "sun", "topic": bundle.card.heads["topic"].labels[1], "names": []}
    rows = make_rows(tmp_path, heads, {"test": [{"text": "tea", "mood": "bad"}, labelled]})
    done: list[tuple[int, int]] = []
    arrays = score(bundle, rows, "test", on_progress=lambda at, of: done.append((at, of)))
    assert done == [(1, 1)]
    assert arrays["decisions:topic"][0] == -1 and not arrays["decisions:names"][0].any()
    assert not arrays["probabilities:topic"][0].any()
    alone = bundle.probabilities(["sun"])
    for head in ("topic", "names"):
        np.testing.assert_array_equal(arrays[f"probabilities:{head}"][1], alone[head][0])


def test_a_line_too_many_is_refused(bundle: Bundle, make_rows: Callable[..., Path], tmp_path: Path) -> None:
    heads = {name: {"kind": h.kind, "labels": list(h.labels)} for name, h in bundle.card.heads.items()}
    rows = make_rows(tmp_path, heads, {"test": [{"text": "sun", "topic": "food", "names": []}]})
    with (rows / "test.texts.jsonl").open("a") as file:
        file.write('"tea"\n')
    with pytest.raises(BadInput, match="line"):
        score(bundle, rows, "test")


def test_what_was_fitted_answers_as_its_bundle(
    bundle: Bundle, tiny_fitted: Path, tiny_rows: Path, tmp_path: Path
) -> None:
    """Exactly as fitted: what baselines are judged by, which are not packaged."""
    of_bundle = score(bundle, tiny_rows, "test")
    fitted = answers(tiny_fitted, tiny_rows, "test", scratch=tmp_path, compute=choose_compute("float32", 1))
    assert set(fitted) == set(of_bundle)
    for name, values in of_bundle.items():
        assert fitted[name].dtype == values.dtype, name
        if name.startswith("probabilities:"):
            np.testing.assert_allclose(fitted[name], values, atol=1e-5)
        else:
            np.testing.assert_array_equal(fitted[name], values)
