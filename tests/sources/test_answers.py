"""Questions about one label that were accepted or rejected, one a row, and scores with a threshold: read as
they were meant, or refused with the setting to paste."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.spec import HeadSpec
from sources.errors import BadCell, BadTable, DataError
from sources.spec import SourceSpec, SplitSpec, TargetSpec, source_problems
from tests.sources.conftest import Build
from tests.support.label_files import FORMATS, write

QUIET = SplitSpec(near_duplicates="off")
MARKS = {"marks": HeadSpec(kind="multilabel")}
TOPIC = {"topic": HeadSpec(kind="multiclass")}
ROWS = [
    *(
        {"text": "a", "label": label, "answer": answer}
        for label, answer in (("cold", "accept"), ("pet", "reject"))
    ),
    {"text": "b", "label": "pet", "answer": "accept"},
    {"text": "b", "label": "cold", "answer": "ignore"},
    {"text": "c", "label": "cold", "answer": "Reject "},
]


def written(rows: list[dict[str, Any]], folder: Path, format: str) -> str:
    path = folder / f"rows.{format}"
    write(rows, path)
    return path.name


@pytest.mark.parametrize("format", FORMATS)
def test_rows_that_reject_their_label_are_refused_with_the_line_to_paste(
    format: str, build: Build, tmp_path: Path
) -> None:
    source = SourceSpec(path=written(ROWS, tmp_path, format), heads={"marks": "label"})
    with pytest.raises(BadTable) as caught:
        build({"it": source}, MARKS, QUIET)
    said = str(caught.value)
    assert "reject" in said and "line " in said
    assert "`heads: {marks: {column: label, answer: answer}}`" in said
    if format not in ("jsonl", "json"):  # these may be Prodigy's own
        assert "2 rows reject their label" in said and "column 'answer'" in said


@pytest.mark.parametrize("format", FORMATS)
def test_answers_are_read_label_by_label(format: str, build: Build, tmp_path: Path) -> None:
    target = TargetSpec(column="label", answer="answer")
    source = SourceSpec(path=written(ROWS, tmp_path, format), heads={"marks": target}, split="train")
    found = build({"it": source}, MARKS, QUIET, filler={"marks": [["cold"], ["pet"]]})
    assert found.answers("marks") | {"a": ["cold"], "b": ["pet"], "c": []} == found.answers("marks")
    unknown = dict(found.table("dataset").select("text", "unknown:marks").iter_rows())
    assert [list(unknown[text] or ()) for text in "abc"] == [[], ["cold"], ["pet"]]
    [source_profile] = [one for one in found.profile["sources"] if one["name"] == "it"]
    assert source_profile["said"] == ["`answer` rejects the label of `marks` on 2 rows"]


def test_a_rejected_label_of_a_multiclass_head_leaves_the_row_unlabelled(
    build: Build, tmp_path: Path
) -> None:
    rows = [
        {"text": text, "label": label, "answer": answer}
        for text, label, answer in (("a", "x", "yes"), ("b", "x", "no"), ("c", "y", ""))
    ]
    target = TargetSpec(column="label", answer="answer")
    source = SourceSpec(path=written(rows, tmp_path, "csv"), heads={"topic": target}, split="train")
    found = build({"it": source}, TOPIC, QUIET, filler={"topic": ["x", "y"]}).answers("topic")
    assert (found["a"], found["b"], found["c"]) == ("x", None, None)


def test_what_is_no_answer_is_refused_by_line(build: Build, tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x", "answer": "accept"}, {"text": "b", "label": "x", "answer": "perhaps"}]
    target = TargetSpec(column="label", answer="answer")
    source = SourceSpec(path=written(rows, tmp_path, "csv"), heads={"topic": target})
    with pytest.raises(
        BadCell, match=r"rows.csv, line 3, column 'answer'.*'perhaps'; expected accept, reject"
    ):
        build({"it": source}, TOPIC, QUIET)


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": f"t{n}", "topic": "xy"[n % 2], "answer": "accept"} for n in range(60)],
        [{"text": f"t{n}", "topic": "xy"[n % 2], "answer": f"free text {n}"} for n in range(60)],
        [{"text": f"t{n}", "topic": "xy"[n % 2], "answer": ("yes", "no")[n % 3 == 0]} for n in range(60)],
    ],
    ids=["all accepted", "something else", "yes and no of something else"],
)
def test_a_column_of_that_name_that_rejects_nothing_is_no_matter(
    rows: list[dict[str, Any]], build: Build, tmp_path: Path
) -> None:
    source = SourceSpec(path=written(rows, tmp_path, "csv"), heads={"topic": "topic"})
    assert build({"it": source}, TOPIC, QUIET).answers("topic")["t1"] == "y"


def test_where_answers_are_given_is_checked_before_a_file_is_read() -> None:
    def problems(**target: Any) -> list[str]:
        source = SourceSpec(path="a.csv", heads={"topic": TargetSpec(**target)})
        return list(source_problems(source, ["topic"]))

    assert problems(column="label", answer="answer") == []
    assert (
        "heads.topic.answer: it belongs to one `column`" in problems(columns=("a", "b"), answer="answer")[0]
    )
    assert "`names` and `threshold`" in problems(column="label", answer="answer", threshold=0.5)[0]


CATS = [
    {"text": "a", "cats": {"cold": 0.91, "pet": 0.2}},
    {"text": "b", "cats": {"cold": 0.5, "pet": 1}},
    {"text": "c", "cats": {"cold": 0.1}},
]


@pytest.mark.parametrize("format", ["spacy", "prodigy", "jsonl"])
def test_scores_of_categories_apply_from_the_threshold_on(format: str, build: Build, tmp_path: Path) -> None:
    rows = [row | {"answer": "accept"} for row in CATS] if format == "prodigy" else CATS
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = TargetSpec(column="cats", threshold=0.5)
    source = SourceSpec(path="a.jsonl", format=format, heads={"marks": target}, split="train")  # type: ignore[arg-type]
    found = build({"it": source}, MARKS, QUIET, filler={"marks": [["cold"], ["pet"]]}).answers("marks")
    assert (found["a"], found["b"], found["c"]) == (["cold"], ["cold", "pet"], [])


def test_scores_without_a_threshold_are_refused_with_it(build: Build, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CATS))
    source = SourceSpec(path="a.jsonl", format="spacy")
    with pytest.raises(
        DataError, match=r"'cold' has the value '0.91'.*`heads: \{HEAD: \{threshold: 0.5\}\}`"
    ):
        build({"it": source}, MARKS, QUIET)
