"""What files of which nothing is known are taken for."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sources.errors import DataError
from sources.look.columns import Column, guess_columns
from sources.look.file import LookedAt, look_at
from sources.look.heads import combined
from sources.look.peek import peek
from sources.look.texts import guess_text
from sources.look.values import splits_in
from sources.spec import TargetSpec
from tests.support.shop_files import write_chats, write_flags, write_lines, write_sheet, write_tickets


def columns(cells: dict[str, list[str | None]], lists: tuple[str, ...] = ()) -> dict[str, Column]:
    texts = [f"a text that is number {n}" for n in range(len(next(iter(cells.values()))))]
    frame = pl.DataFrame({"text": texts, **cells}, schema_overrides=dict.fromkeys(cells, pl.String))
    return {column.name: column for column in guess_columns(frame, lists, "text")}


def column(*cells: str | None, times: int = 10, name: str = "topic") -> Column:
    return columns({name: list(cells) * times})[name]


def looked(file: Path) -> LookedAt:
    found = peek(file)
    return look_at(found, guess_text(found).candidates[0])


@pytest.mark.parametrize(
    ("cells", "kind", "target"),
    [
        (("a", "b", None), "multiclass", TargetSpec(column="topic")),
        (("a", "b", "N/A"), "multiclass", TargetSpec(column="topic", missing=("N/A",))),
        (("Bill", "Bill", "bill", "b"), "multiclass", TargetSpec(column="topic", map={"bill": "Bill"})),
        (
            ("a", "b", "a|b", ""),
            "multilabel",
            TargetSpec(column="topic", encoding="separator", separator="|", empty_means_none=True),
        ),
        (
            ("a", "b", "b;a"),
            "multilabel",
            TargetSpec(column="topic", encoding="separator", separator=";"),
        ),
        (('["a"]', '["a", "b"]'), "multilabel", TargetSpec(column="topic", encoding="list")),
        (("A", "B", "AB"), "multilabel", TargetSpec(column="topic", encoding="letters")),
        (("1", "2", "3", "4", "5"), "multiclass", TargetSpec(column="topic")),
        (("0", "1"), "multiclass", TargetSpec(column="topic")),
        (("animal/dog", "animal/cat", "plant/rose"), "multiclass", TargetSpec(column="topic")),
    ],
)
def test_a_column_is_read_as_its_cells_are_written(
    cells: tuple[str | None, ...], kind: str, target: TargetSpec
) -> None:
    found = column(*cells)
    assert (found.role, found.kind, found.target) == ("head", kind, target)


@pytest.mark.parametrize(
    ("name", "cells", "role"),
    [
        ("id", [str(n) for n in range(60)], "unused"),
        ("score", ["0.25", "0.5", "0.75"] * 20, "unused"),
        ("when", [f"2026-01-{n % 28 + 1:02}" for n in range(60)], "unused"),
        ("lang", ["en", "de"] * 30, "unused"),
        ("customer_id", [f"c{n % 25}" for n in range(60)], "group"),
        ("split", ["train", "train", "dev", "test"] * 15, "split"),
        ("subject", [f"subject {n}" for n in range(60)], "unused"),
        ("same", ["x"] * 60, "unused"),
    ],
)
def test_what_is_no_question_is_no_head(name: str, cells: list[str | None], role: str) -> None:
    assert columns({name: cells, "topic": ["a", "b"] * 30})[name].role == role


def test_columns_of_0_and_1_are_one_head() -> None:
    found = columns({"cold": ["1", "0", "1"] * 9, "pet": ["1", "0", "0"] * 9})["labels"]
    assert (found.kind, found.target.columns, found.labels["pet"]) == ("multilabel", ("cold", "pet"), 9)
    found = columns({"mood_sad": ["1", "0"] * 9, "mood_glad": ["0", "1"] * 9})["mood"]
    assert found.kind == "multiclass", "each row has exactly one"
    assert found.target.columns == {"mood_sad": "sad", "mood_glad": "glad"}


def test_splits_by_other_names() -> None:
    assert splits_in("split", {"train": 3, "holdout": 1}) == {"train": "train", "holdout": "test"}
    assert splits_in("word", {"test": 3, "best": 1}) is None


def test_a_separator_that_another_file_shows_is_found(tmp_path: Path) -> None:
    """In the second file hardly a label stands alone: by itself it would be a file of odd labels."""
    tags = ["cold", "pet", "drink", "cold|pet"]
    lines = [f"this is text {n} of a,{tags[n % 4]}" for n in range(80)]
    (tmp_path / "a.csv").write_text("text,tags\n" + "\n".join(lines) + "\n")
    lines = [f"this is text {n} of b,{['cold/pet', 'drink/pet'][n % 2]}" for n in range(40)]
    (tmp_path / "b.csv").write_text("text,tags\n" + "\n".join(lines) + "\n")
    found = combined([looked(tmp_path / "a.csv"), looked(tmp_path / "b.csv")], tmp_path)
    assert found.sources["b"].targets["tags"].separator == "/"
    assert sorted(found.heads["tags"].labels) == ["cold", "drink", "pet"]


def test_heads_of_one_name_are_one_head_and_general_names_only_if_their_labels_agree(tmp_path: Path) -> None:
    for name, labels in {
        "moods": ("sad", "glad"),
        "topics": ("tea", "milk"),
        "more": ("tea", "milk"),
    }.items():
        lines = [f"this is text {n} of {name},{labels[n % 2]}" for n in range(40)]
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    files = [looked(tmp_path / f"{name}.csv") for name in ("moods", "topics", "more")]
    found = combined(files, tmp_path)
    assert {name: head.sources for name, head in found.heads.items()} == {
        "label": ("moods",),
        "topics": ("topics", "more"),
    }


def test_files_named_by_splits_are_one_source(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        lines = [f"this is text {n} of {name},{'ab'[n % 2]}" for n in range(40)]
        (tmp_path / f"shop_{name}.csv").write_text("text,topic\n" + "\n".join(lines) + "\n")
    files = [looked(tmp_path / f"shop_{name}.csv") for name in ("train", "dev", "test")]
    [(name, source)] = combined(files, tmp_path).sources.items()
    assert name == "shop"
    assert source.path == {
        "train": "shop_train.csv",
        "validation": "shop_dev.csv",
        "test": "shop_test.csv",
    }


def test_every_way_of_writing_a_file(tmp_path: Path) -> None:
    writers = (write_tickets, write_chats, write_lines, write_flags, write_sheet)
    found = combined([looked(write(tmp_path)) for write in writers], tmp_path)
    assert {name: head.kind for name, head in found.heads.items()} == {
        "topic": "multiclass",
        "tags": "multilabel",
        "labels": "multilabel",
        "rating": "multiclass",
    }
    assert found.heads["topic"].sources == ("tickets", "lines")
    assert found.sources["chats"].delimiter == ";"
    assert found.sources["lines"].split_column == "split"
    assert sorted(found.heads["rating"].labels) == ["1", "2", "3", "4", "5"]


def test_a_file_without_a_header_and_one_in_another_encoding(tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("".join(f"this is a text with number {n},{'ab'[n % 2]}\n" for n in range(40)))
    assert peek(bare).declared == {"header": False, "names": ("text", "label")}
    old = tmp_path / "old.csv"
    old.write_bytes(
        ("text,topic\n" + "Das Gerät läuft nicht schön,a\nÜber Öl und Käse,b\n" * 9).encode("cp1252")
    )
    assert peek(old).declared == {"encoding": "cp1252"}


def test_one_row_a_label_is_several_labels(tmp_path: Path) -> None:
    rows = [f"this is text {n // 2},{label}\n" for n, label in enumerate(["cold", "pet"] * 40)]
    (tmp_path / "rows.csv").write_text("text,tags\n" + "".join(rows))
    found = combined([looked(tmp_path / "rows.csv")], tmp_path)
    assert found.union and found.heads["tags"].kind == "multilabel"


def test_an_array_of_objects_and_a_tool_s_export(tmp_path: Path) -> None:
    array = [{"text": f"this is text {n}", "topic": "ab"[n % 2], "meta": {"a": 1}} for n in range(40)]
    (tmp_path / "array.json").write_text(json.dumps(array))
    found = combined([looked(tmp_path / "array.json")], tmp_path)
    assert found.sources["array"].format == "json" and found.heads["topic"].kind == "multiclass"
    tasks = [{"text": f"this is text {n}", "accept": ["ab"[n % 2]], "answer": "accept"} for n in range(40)]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    export = look_at(peek(tmp_path / "tasks.jsonl"), "text")
    assert export.peeked.declared == {"format": "prodigy"}
    assert [(c.name, c.kind) for c in export.columns] == [("accept", "multiclass")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "empty"),
        ("a.pdf", b"%PDF-1.7", "names no format"),
        ("a.jsonl", b'["a"]\n', "no objects"),
        ("a.parquet", b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        peek(tmp_path / name)


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream"])
def test_typed_files(tmp_path: Path, kind: str) -> None:
    rows = range(40)
    frame = pl.DataFrame(
        {
            "body": [f"this is text {n}" for n in rows],
            "stars": [n % 5 for n in rows],
            "score": [n / 7 for n in rows],
            "tags": [["a"], ["a", "b"]] * 20,
        }
    )
    file = tmp_path / ("rows.parquet" if kind == "parquet" else "rows.arrow")
    match kind:
        case "parquet":
            frame.write_parquet(file)
        case "feather":
            frame.write_ipc(file)
        case _:
            frame.write_ipc_stream(file)
    found = combined([looked(file)], tmp_path)
    assert {name: head.kind for name, head in found.heads.items()} == {
        "stars": "multiclass",
        "tags": "multilabel",
    }
