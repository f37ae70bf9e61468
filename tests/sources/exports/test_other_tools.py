"""doccano, Prodigy, Argilla and spaCy: what they export is read as it was meant, other shapes are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sources.errors import DataError
from sources.formats.read import read_source
from sources.formats.table import ANNOTATOR
from sources.spec import SourceSpec
from tests.sources.exports.reading import answers, flags

DOCCANO = [
    {"id": 1, "text": "a", "label": ["x"], "lang": "en", "Comments": []},
    {"id": 2, "text": "b", "label": ["x", "y"], "lang": "de", "Comments": []},
    {"id": 3, "text": "c", "label": [], "lang": "en", "Comments": []},
]


@pytest.mark.parametrize("name", ["all.jsonl", "all.json"])
def test_doccano_json(read: Any, name: str) -> None:
    raw = read(name, DOCCANO, "doccano", group="lang")
    assert answers(raw) == [("a", ["x"]), ("b", ["x", "y"]), ("c", None)]
    assert raw.said[0].startswith("answers without a label for `topic` are unlabelled")


@pytest.mark.parametrize(("text", "label"), [("data", "label"), ("text", "labels")])
def test_doccano_of_other_versions(read: Any, text: str, label: str) -> None:
    assert answers(read("a.jsonl", [{"id": 1, text: "a", label: ["x"]}], "doccano")) == [("a", ["x"])]


def test_doccano_csv_joins_labels(read: Any) -> None:
    raw = read("a.csv", "id,text,label\n1,a,x\n2,b,x#y\n3,c,\n", "doccano")
    assert answers(raw) == [("a", ["x"]), ("b", ["x", "y"]), ("c", None)]
    with pytest.raises(DataError, match=r"line 2.*export JSONL"):
        read("a.csv", "id,text,label\n1,a,c#\n", "doccano")


def test_a_file_of_doccano_is_its_annotator(read: Any) -> None:
    assert read("kim.jsonl", DOCCANO, "doccano").table.frame[ANNOTATOR].unique().to_list() == ["kim"]


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ({"id": 1, "text": "a", "label": [[0, 1, "PER"]]}, "sequence labelling"),
        ({"id": 1, "text": "a", "entities": []}, "sequence labelling"),
        ({"id": 1, "text": "a", "annotations": [{"label": 4}]}, "before 1.0"),
        ({"id": 1, "text": "a", "label": [4]}, "the labels are numbers"),
        ({"id": 1, "text": "a"}, "there is no `label`"),
    ],
)
def test_other_shapes_of_doccano_are_refused(read: Any, row: Any, seen: str) -> None:
    with pytest.raises(DataError, match=rf"a\.jsonl.*{seen}.*Export JSONL"):
        read("a.jsonl", [row], "doccano")


def chosen(
    text: str, accept: list[Any], answer: str = "accept", style: str | None = "multiple"
) -> dict[str, Any]:
    return {
        "text": text,
        "options": [{"id": "x", "text": "X"}, {"id": "y", "text": "Y"}],
        "accept": accept,
        "answer": answer,
        "_input_hash": 1,
        "_task_hash": 2,
        "_session_id": "news-kim",
        "_view_id": "choice",
        "config": {} if style is None else {"choice_style": style},
        "meta": {"feed": "bbc"},
    }


def test_prodigy_choices(read: Any) -> None:
    tasks = [
        chosen("a", ["x"]),
        chosen("b", ["y", "x"]),
        chosen("c", []),
        chosen("d", ["x"], "reject"),
        chosen("e", ["x"], "ignore"),
    ]
    raw = read("a.jsonl", tasks, "prodigy", keep=("feed",))
    assert answers(raw) == [("a", ["x"]), ("b", ["x", "y"]), ("c", []), ("d", None), ("e", None)]
    assert raw.said == ("ignored tasks are unlabelled (1)", "rejected choices are no labels (1)")
    assert set(raw.table.frame[ANNOTATOR]) == {"news-kim"} and set(raw.table.frame["feed"]) == {"bbc"}


@pytest.mark.parametrize("style", ["single", None])
def test_nothing_chosen_of_one_is_unlabelled(read: Any, style: str | None) -> None:
    assert answers(read("a.jsonl", [chosen("a", ["x"]), chosen("b", [], style=style)], "prodigy"))[1] == (
        "b",
        None,
    )


def test_prodigy_ids_that_are_numbers_mean_their_options(read: Any) -> None:
    task = chosen("a", [1]) | {"options": [{"id": 0, "text": "no"}, {"id": 1, "text": "yes"}]}
    raw = read("a.jsonl", [task], "prodigy")
    assert answers(raw) == [("a", ["yes"])] and raw.said[0].startswith("options whose ids are numbers")
    with pytest.raises(DataError, match="numbers, and the task's options do not say"):
        read("a.jsonl", [task | {"options": None}], "prodigy")


def test_prodigy_yes_or_no_speaks_of_one_label(read: Any) -> None:
    tasks = [
        {"text": "a", "label": "x", "answer": "accept", "_view_id": "classification"},
        {"text": "a", "label": "y", "answer": "reject"},
        {"text": "b", "label": "x", "answer": "ignore"},
    ]
    assert flags(read("a.jsonl", tasks, "prodigy")) == [("a", {"x": "1"}), ("a", {"y": "0"}), ("b", {})]


def test_prodigy_categories(read: Any) -> None:
    tasks = [{"text": "a", "cats": {"x": 1.0, "y": 0.0}, "answer": "accept"}, {"text": "b", "cats": {"x": 0}}]
    assert flags(read("a.jsonl", tasks, "prodigy")) == [("a", {"x": "1", "y": "0"}), ("b", {"x": "0"})]


@pytest.mark.parametrize(
    ("task", "seen"),
    [
        ({"text": "a", "label": "x"}, "no `answer`: nobody has annotated it"),
        ({"text": "a", "label": "x", "answer": "maybe"}, "the answer 'maybe'"),
        ({"text": "a", "spans": [], "answer": "accept"}, "spans"),
        ({"html": "a", "label": "x", "answer": "accept"}, "no 'text'"),
        ({"text": "a", "cats": {"x": 0.7}, "answer": "accept"}, "the category 'x' has the value '0.7'"),
    ],
)
def test_other_tasks_of_prodigy_are_refused(read: Any, task: Any, seen: str) -> None:
    with pytest.raises(DataError, match=rf"line 1.*{seen}"):
        read("a.jsonl", [task], "prodigy")


def test_two_kinds_of_tasks_for_one_head_are_told_apart(read: Any) -> None:
    tasks = [chosen("a", ["x"]), {"text": "b", "label": "x", "answer": "accept"}]
    with pytest.raises(DataError, match="'accept', 'label'"):
        read("a.jsonl", tasks, "prodigy")


def given(value: Any, user: str = "u1", **more: Any) -> dict[str, Any]:
    return {"value": value, "user_id": user, **more}


def record(text: str, *responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": text,
        "fields": {"text": text},
        "metadata": {"lang": "en"},
        "suggestions": {"label": {"value": "guessed", "score": 0.9, "agent": "m"}},
        "responses": {"label": list(responses)} if responses else {},
        "vectors": {},
        "status": "completed",
        **more,
    }


ARGILLA = [("a", ["x"]), ("b", ["x", "y"]), ("c", None)]


def test_argilla_records(read: Any) -> None:
    records = [
        record("a", given("x")),
        record("b", given(["y", "x"])),
        record("c", given("x", status="discarded")),
    ]
    raw = read("a.json", records, "argilla", keep=("lang",))
    assert answers(raw) == ARGILLA
    assert raw.said == (
        "drafts and discarded responses are no labels (1)",
        "records without a submitted response are unlabelled (1)",
    )


FLATTENED = [
    {
        "id": text,
        "status": "completed",
        "text": text,
        "label.responses": values,
        "label.responses.users": ["u1"] * len(values or []),
        "label.responses.status": ["submitted"] * len(values or []),
        "label.suggestion": "guessed",
    }
    for text, values in (("a", [["x"]]), ("b", [["x", "y"]]), ("c", None))
]
FEEDBACK = [
    {"text": text, "label": values, "label-suggestion": ["guessed"], "external_id": text, "metadata": "{}"}
    for text, values in (
        ("a", [given(["x"], status="submitted")]),
        ("b", [given(["x", "y"], status="submitted")]),
        ("c", [given(["x"], status="draft")]),
    )
]
OLD = [
    {"inputs": {"text": text}, "text": text, "annotation": labels, "status": status, "prediction": []}
    for text, labels, status in (
        ("a", ["x"], "Validated"),
        ("b", ["x", "y"], "Validated"),
        ("c", None, "Default"),
    )
]


@pytest.mark.parametrize("rows", [FLATTENED, FEEDBACK, OLD], ids=["flattened", "feedback", "1.x"])
@pytest.mark.parametrize("saved", [False, True])
def test_argilla_of_other_versions_and_as_datasets(read: Any, tmp_path: Path, rows: Any, saved: bool) -> None:
    if not saved:
        assert answers(read("a.jsonl", rows, "argilla")) == ARGILLA
        return
    import datasets

    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(tmp_path / "saved")
    spec = SourceSpec(path="saved", format="argilla")
    raw = read_source("it", spec, tmp_path, lambda rows: None, ("topic",))
    assert answers(raw) == ARGILLA
    assert set(raw.table.frame["__given"]) == {"train"}


def test_several_people_answer_a_record(read: Any) -> None:
    raw = read("a.json", [record("a", given("x"), given("y", "u2"))], "argilla")
    assert answers(raw) == [("a", ["x"]), ("a", ["y"])]
    assert raw.table.frame[ANNOTATOR].to_list() == ["u1", "u2"]


def test_spans_are_no_labels_of_argilla(read: Any) -> None:
    span = [{"start": 0, "end": 1, "label": "PER"}]
    records = [record("a", given("x")) | {"responses": {"label": [given("x")], "ner": [given(span)]}}]
    assert answers(read("a.json", records, "argilla")) == [("a", ["x"])]
    with pytest.raises(DataError, match="no question 'ner'"):
        read("a.json", records, "argilla", heads={"topic": "ner"})


def test_responses_without_their_people_are_refused(read: Any) -> None:
    row = FLATTENED[0] | {"label.responses": [["x"], ["y"]]}
    with pytest.raises(DataError, match="2 responses, 1 users"):
        read("a.jsonl", [row], "argilla")


def test_what_is_no_export_of_argilla_is_refused(read: Any) -> None:
    with pytest.raises(DataError, match=r"keys: text, label.*to_json"):
        read("a.json", [{"text": "a", "label": "x"}], "argilla")


SPACY = [("a", {"x": "1", "y": "0"}), ("b", {"x": "0"})]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", [{"text": "a", "cats": {"x": 1.0, "y": 0}}, {"text": "b", "cats": {"x": False}}]),
        ("a.json", [["a", {"cats": {"x": True, "y": False}}], ["b", {"cats": {"x": 0.0}}]]),
        (
            "a.json",
            [
                {
                    "id": 0,
                    "paragraphs": [
                        {"raw": "a", "cats": [{"label": "x", "value": 1.0}, {"label": "y", "value": 0.0}]},
                        {"raw": "b", "cats": [{"label": "x", "value": 0}]},
                    ],
                }
            ],
        ),
    ],
)
def test_spacy(read: Any, name: str, content: Any) -> None:
    assert flags(read(name, content, "spacy")) == SPACY


@pytest.mark.parametrize(
    ("name", "content", "seen"),
    [
        ("a.jsonl", [{"text": "a", "entities": []}], r"without `text` and `cats` \(keys: text, entities\)"),
        ("a.jsonl", [{"text": "a", "cats": {"x": 0.4}}], "set `threshold`"),
        ("a.jsonl", [{"text": "a", "cats": ["x"]}], "`cats` is no object"),
        ("a.spacy", "binary", "DocBin"),
    ],
)
def test_what_is_no_category_of_spacy_is_refused(read: Any, name: str, content: Any, seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        read(name, content, "spacy")
