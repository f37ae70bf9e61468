"""Label Studio: JSON, JSON-MIN and CSV, several questions and people, and what is no label."""

from __future__ import annotations

from typing import Any

import pytest

from sources.errors import BadTable, DataError
from sources.formats.table import ANNOTATOR
from sources.spec import TargetSpec
from tests.sources.exports.reading import answers


def result(question: str, *choices: str, kind: str = "choices", to: str = "text") -> dict[str, Any]:
    return {
        "value": {kind: list(choices)},
        "id": "x1",
        "from_name": question,
        "to_name": to,
        "type": kind,
        "origin": "manual",
    }


def annotation(*results: dict[str, Any], by: Any = 1, cancelled: bool = False) -> dict[str, Any]:
    return {
        "id": 100,
        "completed_by": by,
        "result": list(results),
        "was_cancelled": cancelled,
        "ground_truth": False,
        "lead_time": 3.5,
    }


def task(text: str, *annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [{"result": [result("topic", "guessed")]}],
        "data": {"text": text, **data},
        "meta": {},
        "total_annotations": len(annotations),
    }


def test_json_with_one_question_needs_nothing_but_its_format(read: Any) -> None:
    tasks = [
        task("sunny", annotation(result("sentiment", "good"))),
        task("rainy", annotation(result("sentiment", "bad", "wet"))),
    ]
    assert answers(read("a.json", tasks, "label_studio")) == [("sunny", ["good"]), ("rainy", ["bad", "wet"])]


def test_skipped_and_missing_annotations_are_unlabelled_and_counted(read: Any) -> None:
    tasks = [
        task("a", annotation(result("topic", "x"))),
        task("b", annotation(result("topic", "y"), cancelled=True)),
        task("c"),
        task("d", annotation()),
    ]
    raw = read("a.json", tasks, "label_studio")
    assert answers(raw) == [("a", ["x"]), ("b", None), ("c", None), ("d", None)]
    assert [(sentence[:24], sentence[-4:]) for sentence in raw.said] == [
        ("answers without a label ", " (1)"),
        ("skipped (cancelled) anno", " (1)"),
        ("tasks without an annotat", " (1)"),
    ]


def test_an_answer_without_a_label_may_mean_that_none_applies(read: Any) -> None:
    tasks = [task("a", annotation(result("topic", "x"))), task("b", annotation()), task("c")]
    raw = read("a.json", tasks, "label_studio", heads={"topic": TargetSpec(empty_means_none=True)})
    assert answers(raw) == [("a", ["x"]), ("b", []), ("c", None)]


def test_several_questions_are_found_by_the_names_of_the_heads(read: Any) -> None:
    tasks = [task("a", annotation(result("topic", "x"), result("mood", "glad")), lang="en")]
    raw = read("a.json", tasks, "label_studio", project=("mood", "topic", "other"))
    assert set(raw.spec.heads) == {"mood", "topic"}
    assert answers(raw, "topic") == [("a", ["x"])] and answers(raw, "mood") == [("a", ["glad"])]
    named = read("a.json", tasks, "label_studio", heads={"subject": "topic"}, where="lang = 'en'")
    assert answers(named, "subject") == [("a", ["x"])]


def test_a_head_without_its_question_is_told_which_there_are(read: Any) -> None:
    tasks = [task("a", annotation(result("sentiment", "x"), result("mood", "glad")))]
    with pytest.raises(BadTable, match=r"no question 'topics'.*one of 'sentiment', 'mood'"):
        read("a.json", tasks, "label_studio", heads={"topic": "topics"})
    with pytest.raises(BadTable, match=r"asks 'sentiment', 'mood', and the project's heads are 'topic'"):
        read("a.json", tasks, "label_studio")


def test_each_annotation_is_a_row_of_its_annotator(read: Any) -> None:
    who = {"id": 2, "email": "b@example.org"}
    tasks = [task("a", annotation(result("topic", "x")), annotation(result("topic", "y"), by=who))]
    raw = read("a.json", tasks, "label_studio")
    assert raw.table.frame[ANNOTATOR].to_list() == ["1", "b@example.org"]


def test_regions_and_choices_of_a_part_are_no_labels(read: Any) -> None:
    part = result("topic", "z")
    part["value"] |= {"start": 0, "end": 3}
    tasks = [task("a", annotation(result("topic", "x"), part, result("ner", "PER", kind="labels")))]
    raw = read("a.json", tasks, "label_studio")
    assert answers(raw) == [("a", ["x"])]
    assert raw.said == ("choices about a part of a text are no labels of the text (1)",)


def test_the_text_may_have_another_name(read: Any) -> None:
    tasks = [{**task("", annotation(result("topic", "x"))), "data": {"review": "a", "stars": 4}}]
    assert answers(read("a.json", tasks, "label_studio")) == [("a", ["x"])]
    tasks[0]["data"]["title"] = "t"
    with pytest.raises(BadTable, match=r"no item has a text under 'text'.*'review'.*`text`"):
        read("a.json", tasks, "label_studio")
    assert answers(read("a.json", tasks, "label_studio", text="review"), "topic")[0][1] == ["x"]


FLAT = [
    {"text": "a", "lang": "en", "id": 1, "topic": "x", "annotator": 1, "annotation_id": 5, "lead_time": 2.1},
    {
        "text": "b",
        "lang": "en",
        "id": 2,
        "topic": {"choices": ["x", "y"]},
        "annotator": 1,
        "annotation_id": 6,
        "lead_time": 2.1,
    },
    {"text": "c", "lang": "de", "id": 3, "annotator": 2, "annotation_id": 7, "lead_time": 0.3},
]
LABELS = [("a", ["x"]), ("b", ["x", "y"]), ("c", None)]


def test_json_min(read: Any) -> None:
    raw = read("a.json", FLAT, "label_studio", project=("subject",), keep=("lang",))
    assert answers(raw, "subject") == LABELS
    assert raw.table.frame["lang"].to_list() == ["en", "en", "de"]


def test_csv(read: Any) -> None:
    """Columns in the order of the alphabet, as Label Studio writes them."""
    table = (
        "annotation_id,annotator,created_at,id,lead_time,topic,text,updated_at\n"
        "5,1,2024,1,2.1,x,a,2024\n"
        '6,1,2024,2,2.1,"{""choices"": [""x"", ""y""]}",b,2024\n'
        "7,2,2024,3,0.3,,c,2024\n"
    )
    raw = read("a.csv", table, "label_studio", project=("subject",))
    assert answers(raw, "subject") == LABELS
    assert raw.table.frame["__line"].to_list() == [2, 3, 4]


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ([{"id": 1, "completions": [], "data": {"text": "a"}}], "before 1.0"),
        ([{"id": 1, "data": {"text": "a"}}], "as they are imported"),
        ([{"text": "a", "label": "x"}], "neither `annotations`"),
        ([{"id": 1, "annotations": [5, 6], "data": {"text": "a"}}], "no list of results"),
        (["a", "b"], "an object, as each item of an export of Label Studio"),
        ([], "no items"),
        ("[{", "not JSON"),
    ],
)
def test_other_shapes_are_refused(read: Any, content: Any, seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        read("a.json", content, "label_studio")


def test_another_csv_is_refused(read: Any) -> None:
    with pytest.raises(BadTable, match=r"annotation_id.*Export as JSON"):
        read("a.csv", "text,label\na,x\n", "label_studio")


def test_choices_about_two_texts_of_a_task_are_refused(read: Any) -> None:
    tasks = [task("a", annotation(result("topic", "x"), result("topic", "y", to="other")))]
    with pytest.raises(BadTable, match="about 'text' and about 'other'"):
        read("a.json", tasks, "label_studio")


def test_json_min_finds_a_question_that_the_first_item_does_not_answer(read: Any) -> None:
    assert (
        answers(read("a.json", [*reversed(FLAT)], "label_studio", project=("subject",)), "subject")
        == LABELS[::-1]
    )


def test_a_label_is_never_taken_for_the_text(read: Any) -> None:
    rows = [{"id": 1, "topic": "x", "body": None}, {"id": 2, "topic": "y", "body": "b"}]
    with pytest.raises(BadTable, match="no item has a text under 'text'"):
        read("a.json", rows, "json")
    table = "annotation_id,annotator,lead_time,topic,body\n5,1,2.1,x,\n6,1,2.1,y,b\n"
    with pytest.raises(BadTable, match="no item has a text under 'text'"):
        read("a.csv", table, "label_studio")
