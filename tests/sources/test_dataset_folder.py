"""The dataset folder as the other layers read it, and what refuses to become one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.errors import BadLabels, BadSplit, BadTable, DataError
from sources.merge.identity import text_id
from sources.spec import SourceSpec, SplitSpec, TargetSpec
from tests.support.small_dataset import HEADS, ROWS, SPEC, make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def test_the_datasets_library_reads_its_labels_with_their_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    place = make(folder).path / "splits"
    files = {path.stem: str(path) for path in place.glob("*.parquet")}
    found = datasets.load_dataset("parquet", data_files=files)
    mood, tags = (found["train"].features[f"head:{head}"] for head in ("mood", "tags"))
    assert mood == datasets.ClassLabel(names=["bad", "good"])
    assert tags == datasets.List(datasets.ClassLabel(names=["p", "q"]))
    table = pl.read_parquet(make(folder).path / "dataset.parquet")
    named = {row["text"]: row for row in table.to_dicts()}
    seen = [row for split in found.values() for row in split]
    assert sorted(row["text"] for row in seen) == sorted(named)
    for row in seen:
        given = named[row["text"]]
        assert (row["head:mood"] is None) == (given["head:mood"] is None)
        assert row["head:mood"] is None or mood.int2str(row["head:mood"]) == given["head:mood"]
        assert (row["head:tags"] is None) == (given["head:tags"] is None)
        assert [tags.feature.int2str(n) for n in row["head:tags"] or []] == (given["head:tags"] or [])


def test_tables_by_hand(folder: Path) -> None:
    ref = make(folder)
    data = pl.read_parquet(ref.path / "dataset.parquet")
    assert data["text_id"].to_list() == sorted(
        map(text_id, ["one", "two", "three", "four", "five", "six", "ten"])
    )
    rows = {row["text"]: row for row in data.to_dicts()}
    assert rows["one"]["head:tags"] == ["p", "q"]
    assert rows["one"]["unknown:tags"] == []
    assert rows["two"]["head:tags"] == []
    assert rows["four"]["head:tags"] is None
    assert rows["four"]["unknown:tags"] is None
    assert rows["three"]["head:mood"] is None
    assert rows["five"]["head:mood"] is None  # two answers, dropped
    assert rows["five"]["origins"] == [{"source": "s", "line": 5}, {"source": "s", "line": 8}]
    assert data.schema["weight"] == pl.Float32
    seen = pl.read_parquet(ref.path / "observations.parquet").sort("line")
    assert seen["line"].to_list() == list(range(1, 11))
    assert seen["conflict:mood"].to_list() == [False] * 4 + [True, False, False, True, False, False]
    assert seen["count:tags"].to_list() == [2, 0, 1, None, 1, 1, 1, 1, 0, 1]
    assert seen["chars"].to_list() == [3, 3, 5, 4, 4, 0, None, 4, 3, 3]
    assert seen["text_id"].null_count() == 2
    long = pl.read_parquet(ref.path / "labels.parquet")
    assert long.filter(pl.col("head") == "tags").group_by("label").len().sort("label").rows() == [
        ("p", 3),
        ("q", 2),
    ]
    findings = pl.read_parquet(ref.path / "findings.parquet")
    assert findings.select("rule", "line", "head").rows() == [
        ("text_present", 7, None),
        ("text_not_blank", 6, None),
        ("one_answer", 5, "mood"),
        ("one_answer", 8, "mood"),
        ("sources_consistent", 5, "mood"),
        ("sources_consistent", 8, "mood"),
    ]
    assert ref.totals["one_answer"] == 2
    assert ref.totals["labels_known"] == 0


def test_profile_by_hand(folder: Path) -> None:
    profile = json.loads((make(folder).path / "profile.json").read_text())
    assert profile["rows"] == {"train": 3, "validation": 2, "test": 2}
    assert profile["observations"] == 10
    assert profile["conflicts"] == profile["conflicts_within"] == {"mood": 1, "tags": 0}
    assert profile["conflicts_between"] == {"mood": 0, "tags": 0}
    assert profile["vocabulary"]["tokens"] == {"train": 3, "validation": 2, "test": 2}
    assert profile["vocabulary"]["unseen"] == {"train": 0.0, "validation": 1.0, "test": 1.0}
    train = profile["heads"]["tags"]["splits"]["train"]
    assert train == {
        "labelled": 3,
        "counts": {"p": 1, "q": 2},
        "coverage": 1.0,
        "cardinality": 1.0,
        "density": 0.5,
        "entropy": pytest.approx(0.9182958),  # shares 1/3 and 2/3
        "normalised_entropy": pytest.approx(0.9182958),
        "imbalance": 2.0,
        "missing": [],
        "unknown": {"p": 0, "q": 0},
    }
    assert profile["heads"]["mood"]["splits"]["test"]["counts"] == {"bad": 1, "good": 0}
    chars = profile["text_chars"]["train"]
    assert (chars["min"], chars["median"], chars["max"]) == (3, 3.0, 5)
    assert sum(chars["histogram"]["counts"]) == 3
    assert profile["sources"] == [{"name": "s", "files": 1, "rows": 10, "said": [], "kept": 8}]
    assert profile["near_duplicates"] is None


def test_rows_handed_over_by_hand(folder: Path) -> None:
    ref = make(folder)
    rows = ref.path / "rows"
    about = json.loads((rows / "rows.json").read_text())
    assert about["rows"] == {"train": 3, "validation": 2, "test": 2}
    assert about["heads"]["mood"]["labels"] == ["bad", "good"]
    texts = [json.loads(line) for line in (rows / "train.texts.jsonl").read_text().splitlines()]
    assert texts == sorted(["one", "two", "three"], key=text_id)
    digest = hashlib.sha256((rows / "train.texts.jsonl").read_bytes()).hexdigest()
    assert about["digest"]["train"] == digest
    mood, tags = np.load(rows / "train.mood.npy"), np.load(rows / "train.tags.npy")
    assert (mood.dtype, tags.dtype) == (np.int32, np.int8)
    assert dict(zip(texts, mood.tolist(), strict=True)) == {"one": 1, "two": 0, "three": -1}
    assert dict(zip(texts, tags.tolist(), strict=True)) == {"one": [1, 1], "two": [0, 0], "three": [0, 1]}
    assert sorted(np.load(rows / "validation.tags.npy").tolist()) == [[-1, -1], [1, 0]]
    assert np.load(rows / "train.weight.npy").tolist() == [1.0, 1.0, 1.0]


def test_partial_labels_are_handed_over_as_unknown(folder: Path) -> None:
    (folder / "f.csv").write_text(
        "text,split,p,q\na,train,1,\nb,train,,\nc,train,0,1\nd,validation,1,1\ne,test,,0\n"
    )
    spec = SourceSpec(
        path="f.csv", split_column="split", heads={"tags": TargetSpec(columns={"p": "P", "q": "Q"})}
    )
    ref = make(folder, {"tags": HEADS["tags"]}, spec)
    assert ref.heads["tags"].labels == ("P", "Q")
    texts = [json.loads(t) for t in (ref.path / "rows" / "train.texts.jsonl").read_text().splitlines()]
    targets = np.load(ref.path / "rows" / "train.tags.npy").tolist()
    assert dict(zip(texts, targets, strict=True)) == {"a": [1, -1], "b": [-1, -1], "c": [0, 1]}
    data = {r["text"]: r for r in pl.read_parquet(ref.path / "dataset.parquet").to_dicts()}
    assert data["a"]["unknown:tags"] == ["Q"]
    assert data["b"]["head:tags"] is None
    assert data["e"]["head:tags"] == []


def test_labels_that_a_source_does_not_ask_about_are_unknown(build: Any, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("text,p\na,1\nb,0\n")
    built = build(
        {"few": SourceSpec(path="few.csv", split="train", heads={"tags": TargetSpec(columns=("p",))})},
        {"tags": HeadSpec(kind="multilabel")},
        filler={"tags": [["p"], ["q"]]},
    )
    assert (built.answers("tags")["a"], built.unknown("tags")["a"]) == (["p"], ["q"])
    assert (built.answers("tags")["b"], built.unknown("tags")["b"]) == ([], ["q"])


def test_unknown_labels_are_findings_not_answers(folder: Path) -> None:
    heads = {
        "mood": HeadSpec(kind="multiclass", labels=("good", "bad")),
        "tags": HeadSpec(kind="multilabel", labels=("q", "r")),
    }
    ref = make(folder, heads)
    assert ref.heads["tags"].labels == ("q", "r")
    data = {r["text"]: r["head:tags"] for r in pl.read_parquet(ref.path / "dataset.parquet").to_dicts()}
    assert data["one"] is None
    assert data["three"] == ["q"]
    seen = pl.read_parquet(ref.path / "observations.parquet").sort("line")
    assert seen["unknown_label:tags"].to_list() == [True] + [False] * 3 + [True] * 4 + [False, True]
    findings = pl.read_parquet(ref.path / "findings.parquet").filter(pl.col("rule") == "labels_known")
    assert findings.select("line", "value").rows() == [
        (1, "p"),
        (5, "p"),
        (6, "p"),
        (7, "p"),
        (8, "p"),
        (10, "p"),
    ]
    assert ref.totals["labels_known"] == 6


def test_a_multiclass_cell_with_several_labels_is_a_finding(build: Any, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(
        '{"text":"a","h":["x","y"]}\n{"text":"b","h":[]}\n{"text":"c","h":["y"]}\n{"text":"d","h":null}\n'
    )
    built = build(
        {"s": SourceSpec(path="s.jsonl", split="train", heads={"h": "h"})},
        {"h": HeadSpec(kind="multiclass")},
        filler={"h": ["x", "y"]},
    )
    answers = built.answers("h")
    assert [answers[t] for t in "abcd"] == [None, None, "y", None]
    counts = built.table("observations").filter(pl.col("source") == "s")["count:h"].to_list()
    assert counts == [2, None, 1, None]
    found = built.table("findings").filter(pl.col("rule") == "multiclass_exactly_one")
    assert found.select("line", "value").rows() == [(1, "2 labels")]
    empty = built.table("findings").filter(pl.col("rule") == "empty_lists")
    assert empty["line"].to_list() == [2]


def test_findings_are_capped_and_totals_are_true(build: Any, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("text,h\n" + ",x\n" * 1500)
    built = build(
        {"s": SourceSpec(path="s.csv", heads={"h": "h"})},
        {"h": HeadSpec(kind="multiclass")},
        filler={"h": ["x", "y"]},
    )
    assert built.table("findings").height == 1000
    assert built.ref.totals["text_present"] == 1500


def test_fingerprint_is_of_content_only(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    lines = (folder / "s.jsonl").read_text().splitlines()
    (elsewhere / "other.jsonl").write_text("\n".join(reversed(lines)))
    one, other = make(folder), make(elsewhere, spec=SourceSpec(**{**_fields(SPEC), "path": "other.jsonl"}))
    assert one.fingerprint == other.fingerprint
    assert one.head_fingerprints == other.head_fingerprints


def _fields(spec: SourceSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in SourceSpec.__slots__}


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"text": "one", "mood": "bad"}, {"mood"}),
        ({"text": "one", "tags": ["p"]}, {"tags"}),
        ({"text": "one", "split": "test"}, {"mood", "tags"}),
        ({"text": "three", "mood": "bad"}, {"mood"}),
    ],
)
def test_a_head_fingerprint_moves_with_its_own_rows_only(
    folder: Path, change: dict[str, Any], moves: set[str]
) -> None:
    rows = [*ROWS, {"text": "eleven", "split": "train", "mood": "good", "tags": ["p"]}]
    rows += [{"text": "twelve", "split": "train", "mood": "bad", "tags": ["q"]}]
    (folder / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = make(folder)
    rows = [{**row, **change} if row["text"] == change["text"] else row for row in rows]
    (folder / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    after = make(folder)
    assert before.fingerprint != after.fingerprint
    moved = {h for h in HEADS if before.head_fingerprints[h] != after.head_fingerprints[h]}
    assert moved == moves


def test_unlabelled_rows_do_not_move_a_head_fingerprint(folder: Path) -> None:
    before = make(folder)
    with (folder / "s.jsonl").open("a") as out:
        out.write('{"text": "seven", "split": "train", "mood": "bad"}\n')
    after = make(folder)
    assert before.head_fingerprints["tags"] == after.head_fingerprints["tags"]
    assert before.head_fingerprints["mood"] != after.head_fingerprints["mood"]


def test_weights_and_groups_of_joined_rows(build: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,h,who\nshared,x,ann\nother,y,bob\n")
    (tmp_path / "b.csv").write_text("text,h,who\nshared,x,bob\nlone,y,\n")
    sources = {
        "a": SourceSpec(path="a.csv", heads={"h": "h"}, group="who", weight=0.5),
        "b": SourceSpec(path="b.csv", heads={"h": "h"}, group="who", weight=2.0),
    }
    built = build(sources, {"h": HeadSpec(kind="multiclass")}, filler={"h": ["x", "y"]})
    rows = {r["text"]: r for r in built.table("dataset").to_dicts()}
    assert rows["shared"]["weight"] == 2.0
    assert rows["other"]["weight"] == 0.5
    assert rows["shared"]["group"] == rows["other"]["group"] == "ann"
    assert rows["lone"]["group"] is None
    assert rows["shared"]["split"] == rows["other"]["split"]
    assert rows["shared"]["origins"] == [{"source": "a", "line": 2}, {"source": "b", "line": 2}]


def test_progress_is_reported(folder: Path) -> None:
    calls: list[tuple[str, int]] = []
    build_dataset({"s": SPEC}, HEADS, SplitSpec(), folder, folder / "data", lambda s, n: calls.append((s, n)))
    assert ("read", 10) in calls
    assert {stage for stage, _ in calls} == {"read", "merge", "write"}


def test_look_alike_labels_are_in_the_profile(build: Any, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("text,h\na,Refund\nb,refund \n")
    built = build(
        {"s": SourceSpec(path="s.csv", split="train", heads={"h": "h"})},
        {"h": HeadSpec(kind="multiclass")},
        filler={"h": ["x", "refund"]},
    )
    assert built.profile["look_alike_labels"] == {"h": [["Refund", "refund"]]}
    assert "'Refund' like 'refund'" in built.profile["doubts"]["h"]["look_alike_labels"]


@pytest.mark.parametrize(
    ("rows", "heads", "error", "message"),
    [
        ({"a": "train x", "b": "validation x", "c": "test x"}, {}, BadLabels, "same label 'x'"),
        ({"a": "train x", "b": "train y"}, {"validation": 0.0}, BadSplit, "validation split is empty"),
        ({"a": "test x", "b": "validation y"}, {}, BadSplit, "train split is empty"),
        ({"a": "train", "b": "validation", "c": "test"}, {}, BadLabels, "no training row"),
    ],
)
def test_refusals(rows: Any, heads: Any, error: type[DataError], message: str, folder: Path) -> None:
    given = {text: [*said.split(" "), None][:2] for text, said in rows.items()}
    lines = [json.dumps({"text": t, "split": s, "mood": m}) for t, (s, m) in given.items()]
    (folder / "s.jsonl").write_text("\n".join(lines))
    spec = SourceSpec(path="s.jsonl", split_column="split", heads={"mood": "mood"})
    with pytest.raises(error, match=message):
        make(folder, {"mood": HEADS["mood"]}, spec, **heads)
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("sources", "heads", "split", "message"),
    [
        ({}, HEADS, {}, "no source"),
        ({"s": SPEC}, {}, {}, "no head"),
        ({"s": SPEC}, HEADS, {"conflicts": "prefer", "prefer": ("t",)}, "split.prefer: no source 't'"),
        ({"s": SPEC}, HEADS, {"conflicts": "prefer"}, "split.prefer: it is empty"),
        ({"s": SourceSpec(heads={"mood": "mood"})}, HEADS, {}, "`path`, `hub` and `sql`"),
        (
            {"s": SourceSpec(path="s.jsonl", heads={"mood": TargetSpec()})},
            HEADS,
            {},
            "`column` and `columns`",
        ),
    ],
)
def test_declarations_that_make_no_sense(
    sources: Any, heads: Any, split: Any, message: str, folder: Path
) -> None:
    with pytest.raises(BadTable, match=message):
        build_dataset(sources, heads, SplitSpec(**split), folder, folder / "data")


def test_two_builds_at_once_agree(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        refs = list(pool.map(lambda _: make(folder), range(4)))
    assert len({ref.path for ref in refs}) == 1
    shutil.rmtree(folder / "data")
