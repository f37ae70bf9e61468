"""Argilla: records of 2.x as JSON (`to_json`, `to_list`) and as `datasets` (`to_datasets`), of feedback
datasets and of text classification in 1.x. A question has its own name; that of 1.x text classification is
`annotation`.

Submitted responses are labels; drafts and discarded ones are none, nor are suggestions and predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sources.errors import BadCell, BadTable, Problem
from sources.formats.exports.answers import Answered, Chosen, Export, labels_in, text_key, text_of
from sources.formats.exports.documents import objects, read_items
from sources.formats.table import Wanted

EXPORT = "Write the records with `dataset.records.to_json(PATH)` of Argilla 2, or save `to_datasets()`."
RESPONSES = ".responses"

NOT_SUBMITTED = "drafts and discarded responses are no labels"
DISCARDED = "discarded records are unlabelled"
NO_RESPONSE = "records without a submitted response are unlabelled"

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Response:
    """One person's answer to one question of a record."""

    question: str
    value: Any
    user: str
    submitted: bool


def read_argilla(file: Path, name: str, wanted: Wanted) -> Export:
    """One file of records, a JSON array or JSON lines.

    Raises:
        UnreadableSource, BadTable, BadCell: not such a file, or one of another shape.
    """
    return argilla_records(objects(read_items(file, name, wanted.encoding), name, "Argilla"), name, wanted)


def argilla_records(items: list[tuple[int, dict[str, Any]]], name: str, wanted: Wanted) -> Export:
    """The same of records that were read already, each with its number.

    Raises:
        BadTable, BadCell: they are no records of Argilla, or of another shape.
    """
    first = items[0][1]
    if isinstance(first.get("fields"), dict):
        texts, responses, asked = [_fields(item) for _, item in items], _nested, _nested_questions
    elif any(key.endswith(RESPONSES) for _, item in items for key in item):
        texts, responses, asked = [_plain(item) for _, item in items], _flattened, _flattened_questions
    elif "annotation" in first and "status" in first:
        texts, responses, asked = [_inputs(item) for _, item in items], _classified, _classified_questions
    elif any(_is_feedback(value) for _, item in items for value in item.values()):
        texts, responses, asked = [_plain(item) for _, item in items], _feedback, _feedback_questions
    else:
        seen = (
            f"records without `fields`, `….responses` or `annotation` (keys: {', '.join(list(first)[:10])})"
        )
        raise BadTable(Problem(seen, "records as Argilla exports them", EXPORT, file=name, line=1))
    key = text_key(texts, wanted.text, name, only_data=responses is _nested or responses is _classified)
    questions = dict.fromkeys(question for _, item in items for question in asked(item))
    notes: Counter[str] = Counter()
    unread: set[str] = set()
    rows: list[Answered] = []
    for (line, item), fields in zip(items, texts, strict=True):
        at = Problem("", file=name, line=line)
        by_user: dict[str, dict[str, Chosen]] = {}
        for response in responses(item):
            if not response.submitted:
                notes[NOT_SUBMITTED] += 1
                continue
            try:
                labels = labels_in(_value(response.value), at)
            except BadCell:
                unread.add(response.question)  # spans, rankings: an error only for whoever asks for them
                continue
            by_user.setdefault(response.user, {})[response.question] = labels
        text = text_of(fields.get(key), at)
        metadata = item.get("metadata")
        others = {k: v for k, v in fields.items() if k != key}
        others |= metadata if isinstance(metadata, dict) else {}
        if not by_user:
            notes[DISCARDED if item.get("status") in ("Discarded", "discarded") else NO_RESPONSE] += 1
            rows.append(Answered(line=line, text=text, others=others))
        rows += [
            Answered(line=line, text=text, answers=answers, annotator=user, others=others)
            for user, answers in by_user.items()
        ]
    return Export(rows=rows, questions=[q for q in questions if q not in unread], notes=notes)


def _value(value: Any) -> Any:
    """A response's value; some versions wrap it once more."""
    return value["value"] if isinstance(value, dict) and set(value) == {"value"} else value


def _is_submitted(status: Any) -> bool:
    """Whether a response counts; shapes without a status hold submitted ones."""
    return status in (None, "submitted")


# Records of 2.x: {"fields": {…}, "responses": {question: [{"value": …, "user_id": …}]}}.
def _nested(item: Record) -> Iterator[_Response]:
    found = item.get("responses")
    for question, given in (found if isinstance(found, dict) else {}).items():
        for one in given if isinstance(given, list) else []:
            if isinstance(one, dict) and "value" in one:
                yield _Response(
                    question, one["value"], str(one.get("user_id")), _is_submitted(one.get("status"))
                )


def _nested_questions(item: Record) -> Iterator[str]:
    for part in ("responses", "suggestions"):
        found = item.get(part)
        yield from found if isinstance(found, dict) else ()


def _fields(item: Record) -> dict[str, Any]:
    """The fields of a record of 2.x."""
    found = item.get("fields")
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    """A list, or the only value as one."""
    return value if isinstance(value, list) else [] if value is None else [value]


# The same, flattened: {"text": …, "label.responses": […], "label.responses.users": […], "….status": […]}.
def _flattened(item: Record) -> Iterator[_Response]:
    for question in _flattened_questions(item):
        values = _list(item.get(f"{question}{RESPONSES}"))
        users = _list(item.get(f"{question}{RESPONSES}.users")) or [str(at) for at in range(len(values))]
        states = _list(item.get(f"{question}{RESPONSES}.status")) or [None] * len(values)
        if not len(values) == len(users) == len(states):
            seen = f"{len(values)} responses, {len(users)} users and {len(states)} states of one record"
            raise BadTable(Problem(seen, "as many of each", EXPORT, column=f"{question}{RESPONSES}"))
        for value, user, status in zip(values, users, states, strict=True):
            yield _Response(question, value, str(user), _is_submitted(status))


def _flattened_questions(item: Record) -> Iterator[str]:
    yield from (key.removesuffix(RESPONSES) for key in item if key.endswith(RESPONSES))


# Feedback datasets of 1.x: {"label": [{"user_id": …, "value": …, "status": …}], "label-suggestion": …}.
def _is_feedback(value: Any) -> bool:
    if isinstance(value, dict):  # `datasets` turns a list of objects into an object of lists
        return {"user_id", "value", "status"} <= set(value)
    return isinstance(value, list) and bool(value) and _is_feedback(value[0])


def _feedback(item: Record) -> Iterator[_Response]:
    for question, given in item.items():
        if not _is_feedback(given):
            continue
        if isinstance(given, dict):
            parts = (_list(given[key]) for key in ("user_id", "value", "status"))
            columns = zip(*parts, strict=False)
            given = [{"user_id": u, "value": v, "status": s} for u, v, s in columns]
        for one in given:
            if not isinstance(one, dict):
                continue
            yield _Response(
                question, one.get("value"), str(one.get("user_id")), _is_submitted(one.get("status"))
            )


def _feedback_questions(item: Record) -> Iterator[str]:
    yield from (key for key, value in item.items() if _is_feedback(value))


# Text classification of 1.x: {"text" or "inputs": …, "annotation": "a" or ["a"], "status": "Validated"}.
def _classified(item: Record) -> Iterator[_Response]:
    if item.get("annotation") not in (None, []):
        who = str(item.get("annotation_agent") or "one")
        yield _Response("annotation", item["annotation"], who, item.get("status") != "Discarded")


def _classified_questions(item: Record) -> Iterator[str]:
    yield "annotation"


def _inputs(item: Record) -> dict[str, Any]:
    """The fields of a record of 1.x."""
    inputs = item.get("inputs")
    if type(item.get("text")) is str:
        return {"text": item["text"]}
    return dict(inputs) if isinstance(inputs, dict) else {"text": inputs}


def _plain(item: Record) -> dict[str, Any]:
    """What of a flat record may be a text: strings that belong to no question."""
    return {
        key: value
        for key, value in item.items()
        if type(value) is str
        and "." not in key
        and key not in ("id", "_server_id", "status", "external_id", "metadata")
    }
