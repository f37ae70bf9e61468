"""Label Studio, 1.0 and later: `JSON`, `JSON-MIN` and `CSV`. A question is a `from_name` of the labelling
configuration; only `Choices` are labels of a text.

JSON holds each task with its annotations, JSON-MIN and CSV one flat item an annotation. Skipped (cancelled)
annotations, predictions and drafts are no labels.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sources.errors import BadCell, BadTable, Problem
from sources.formats.exports.answers import Answered, Chosen, Export, labels_in, text_key, text_of
from sources.formats.exports.documents import objects, read_csv_rows, read_items
from sources.formats.table import Wanted

OF_THE_TOOL = frozenset(
    ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")
)
"""Keys of JSON-MIN and columns of CSV that are neither data nor answers."""
EXPORT = "Export as JSON, JSON-MIN or CSV from Label Studio 1.0 or later."

SKIPPED = "skipped (cancelled) annotations are no labels"
NOT_ANNOTATED = "tasks without an annotation are unlabelled"
OF_A_PART = "choices about a part of a text are no labels of the text"


def read_label_studio(file: Path, name: str, wanted: Wanted) -> Export:
    """One exported file.

    Raises:
        UnreadableSource, BadTable, BadCell: not such a file, or one of another version; see
            `sources.formats.exports.documents`.
    """
    if name.lower().removesuffix(".gz").endswith(".csv"):
        return _flat(
            [(line, dict(row)) for line, row in read_csv_rows(file, name, wanted.encoding)],
            name,
            wanted,
            csv=True,
        )
    items = objects(read_items(file, name, wanted.encoding), name, "Label Studio")
    first = items[0][1]
    if "annotations" in first:
        return _tasks(items, name, wanted)
    if "completions" in first:
        seen = "the items hold `completions`, as Label Studio wrote them before 1.0"
        raise BadTable(Problem(seen, "items with `data` and `annotations`", EXPORT, file=name, line=1))
    if "data" in first and isinstance(first["data"], dict):
        seen = "the items hold `data` but no `annotations`: these are tasks as they are imported"
        raise BadTable(Problem(seen, "items with `data` and `annotations`", EXPORT, file=name, line=1))
    if not OF_THE_TOOL & set(first) - {"id"}:
        seen = "the items hold neither `annotations` (JSON) nor `annotation_id` (JSON-MIN)"
        raise BadTable(Problem(seen, "an export of Label Studio", EXPORT, file=name, line=1))
    return _flat(items, name, wanted, csv=False)


def _tasks(items: list[tuple[int, dict[str, Any]]], name: str, wanted: Wanted) -> Export:
    """Tasks with their annotations: `JSON`."""
    for number, task in items:
        if not isinstance(task.get("data"), dict) or not isinstance(task.get("annotations"), list):
            raise BadTable(
                Problem(
                    "the task has no `data` or no list of `annotations`", "", EXPORT, file=name, line=number
                )
            )
    key = text_key([task["data"] for _, task in items], wanted.text, name, only_data=True)
    notes: Counter[str] = Counter()
    rows: list[Answered] = []
    questions: dict[str, str] = {}
    for number, task in items:
        at = Problem("", file=name, line=number)
        data = {other: value for other, value in task["data"].items() if other != key}
        text = text_of(task["data"].get(key), at)
        answered = 0
        for position, annotation in enumerate(task["annotations"], start=1):
            if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
                seen = "the annotation has no list of results"
                raise BadTable(Problem(seen, "an object with `result`", EXPORT, file=name, line=number))
            if annotation.get("was_cancelled") is True:
                notes[SKIPPED] += 1
                continue
            answered += 1
            answers = _results(annotation["result"], questions, notes, at)
            who = _who(annotation.get("completed_by")) or f"annotation {position}"
            rows.append(Answered(line=number, text=text, answers=answers, annotator=who, others=data))
        if not answered:
            notes[NOT_ANNOTATED] += not task["annotations"]
            rows.append(Answered(line=number, text=text, others=data))
    return Export(rows=_with_unanswered(rows, questions), questions=questions, notes=+notes)


def _results(
    results: list[Any], questions: dict[str, str], notes: Counter[str], at: Problem
) -> dict[str, Chosen]:
    """Question → the choices of one annotation; questions met first join `questions` with what they ask
    about."""
    chosen: defaultdict[str, set[str]] = defaultdict(set)
    for result in results:
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict) or not isinstance(result.get("from_name"), str):
            raise BadTable(
                Problem("a result has no `from_name` or no `value`", "", EXPORT, file=at.file, line=at.line)
            )
        if result.get("type") != "choices" and "choices" not in value:
            continue  # regions, ratings, relations: no labels of the text
        if "start" in value or "end" in value:
            notes[OF_A_PART] += 1
            continue
        question, about = str(result["from_name"]), str(result.get("to_name", ""))
        if questions.setdefault(question, about) != about:
            seen = f"{question!r} is answered about {questions[question]!r} and about {about!r}"
            raise BadTable(
                Problem(seen, "one text a task", "Split such tasks in two.", file=at.file, line=at.line)
            )
        chosen[question].update(labels_in(value.get("choices"), at))
    return {question: tuple(sorted(labels)) for question, labels in chosen.items()}


def _with_unanswered(rows: list[Answered], questions: Mapping[str, str]) -> list[Answered]:
    """In every annotation, each question that has no result is one for which nothing was chosen."""
    nothing: dict[str, Chosen] = dict.fromkeys(questions, ())
    return [
        row
        if row.annotator is None
        else Answered(
            line=row.line,
            text=row.text,
            answers={**nothing, **row.answers},
            annotator=row.annotator,
            others=row.others,
        )
        for row in rows
    ]


def _who(found: Any) -> str | None:
    """Who annotated: an id, or an object with one."""
    if isinstance(found, dict):
        found = found.get("email") or found.get("id")
    return None if found is None or found == "" else str(found)


def _flat(items: list[tuple[int, dict[str, Any]]], name: str, wanted: Wanted, *, csv: bool) -> Export:
    """One item an annotation: `JSON-MIN`, `CSV`."""
    keys = list(dict.fromkeys(key for _, item in items for key in item))
    if csv and "annotation_id" not in keys and not {"annotator", "lead_time"} <= set(keys):
        expected = "the columns `annotation_id`, `annotator` and `lead_time`, as Label Studio writes them"
        raise BadTable(
            Problem(f"the columns are {', '.join(keys[:10])}", expected, EXPORT, file=name, line=1)
        )
    # JSON-MIN writes a task's data, its id, the answers, and then who gave them; a CSV has no such order.
    placed = not csv and all("id" in item and "annotator" in item for _, item in items)
    if placed:
        asked = list(dict.fromkeys(key for _, item in items for key in _between(list(item))))
    else:
        asked = [key for key in keys if key not in OF_THE_TOOL]
    data = [key for key in keys if key not in OF_THE_TOOL and not (placed and key in asked)]
    texts = [{one: item.get(one) for one in data} for _, item in items]
    key = text_key(texts, wanted.text, name, only_data=placed)
    questions = [question for question in asked if question != key]
    rows, unread = [], set[str]()
    for number, item in items:
        at = Problem("", file=name, line=number)
        answers: dict[str, Chosen] = {}
        for question in questions:
            try:
                answers[question] = labels_in(list(_choices(item.get(question), csv)), at)
            except BadCell:
                unread.add(question)  # regions, several texts: an error only for whoever asks for it
        text = text_of(item.get(key), at)
        others = {one: value for one, value in item.items() if one != key and one not in questions}
        who = _who(item.get("annotator"))
        rows.append(Answered(line=number, text=text, answers=answers, annotator=who, others=others))
    return Export(rows=rows, questions=[q for q in questions if q not in unread])


def _between(keys: list[str]) -> list[str]:
    """The keys of one item between `id` and `annotator`."""
    return keys[keys.index("id") + 1 : keys.index("annotator")]


def _choices(value: Any, csv: bool) -> Iterator[Any]:
    """The choices in an answer: one as it is, several as `{"choices": […]}` (in a CSV as JSON), or a list."""
    if csv and isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):  # a label that begins with a bracket
            value = json.loads(value, parse_int=str, parse_float=str)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and set(one) == {"choices"} and isinstance(one["choices"], list):
            yield from one["choices"]
        else:
            yield one
