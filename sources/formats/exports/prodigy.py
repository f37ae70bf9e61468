"""Prodigy (`prodigy db-out`, JSONL): multiple choice (`accept`), yes or no about one label (`label`,
`answer`), and categories (`cats`). The question is named `accept`, `label` or `cats`.

Only what was answered with `accept` is a label. A rejected choice is none; a rejected yes-or-no task says
that its label does not apply. An ignored task says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sources.errors import BadCell, BadTable, Problem, quoted
from sources.formats.exports.answers import (
    NONE_APPLIES,
    Answered,
    Chosen,
    Export,
    Flags,
    labels_in,
    text_of,
)
from sources.formats.exports.documents import objects, read_items
from sources.formats.exports.spacy import flags_of
from sources.formats.jsonl import JsonNumber
from sources.formats.table import Wanted

ANSWERS = ("accept", "reject", "ignore")
QUESTIONS = ("accept", "cats", "label")
"""Keys that hold labels, in the order in which they are looked for."""
EXPORT = "Export with `prodigy db-out DATASET > FILE.jsonl` from a classification recipe (textcat, choice)."

REJECTED = "rejected choices are no labels"
IGNORED = "ignored tasks are unlabelled"


def read_prodigy(file: Path, name: str, wanted: Wanted) -> Export:
    """One exported file.

    Raises:
        UnreadableSource, BadTable, BadCell: not such a file, of another recipe, or with an answer that
            Prodigy does not give.
    """
    notes: Counter[str] = Counter()
    questions: dict[str, None] = {}
    rows = []
    for line, task in objects(read_items(file, name, wanted.encoding), name, "Prodigy"):
        at = Problem("", file=name, line=line)
        answer = _answer(task, at)
        question = next((key for key in QUESTIONS if key in task), None)
        if question is None and isinstance(task.get("options"), list):
            question = "accept"  # a choice that was rejected or ignored before anything was chosen
        if question is None:
            other = "spans (named entities)" if "spans" in task else "neither `accept`, `label` nor `cats`"
            raise BadTable(
                Problem(f"the task holds {other}", "a label of the text", EXPORT, file=name, line=line)
            )
        questions[question] = None
        given: Chosen | Flags | None = None
        if answer == "ignore":
            notes[IGNORED] += 1
        elif question == "label":
            given = {label: answer == "accept" for label in labels_in(task["label"], at)}
        elif answer == "reject":
            notes[REJECTED] += 1
        else:
            given = (
                flags_of(task["cats"], at, scores=wanted.scores)
                if question == "cats"
                else _accepted(task, at, notes)
            )
        if wanted.text not in task:
            advice = "Name the key that holds the text in `text`."
            raise BadTable(
                Problem(f"the task has no {wanted.text!r}", "a text", advice, file=name, line=line)
            )
        rows.append(
            Answered(
                line=line,
                text=text_of(task[wanted.text], at),
                answers={} if given is None else {question: given},
                annotator=_who(task),
                others=_others(task, wanted.text),
            )
        )
    return Export(rows=rows, questions=questions, notes=notes)


def _answer(task: Mapping[str, Any], at: Problem) -> str:
    """What was answered to a task; one with `cats` may have been corrected outside Prodigy."""
    found = task.get("answer", "accept" if "cats" in task else None)
    if found in ANSWERS:
        return str(found)
    if found is None:
        seen = "the task has no `answer`: nobody has annotated it, or this is no export of Prodigy"
    else:
        seen = f"the answer {quoted(str(found))}"
    raise BadTable(Problem(seen, "`accept`, `reject` or `ignore`", EXPORT, file=at.file, line=at.line))


def _accepted(task: Mapping[str, Any], at: Problem, notes: Counter[str]) -> Chosen | None:
    """What was chosen of the options. Nothing chosen of several means that none applies where the task says
    that several may be chosen; of one out of several it means nothing."""
    labels = labels_in(task.get("accept"), at)
    if labels:
        return _named(labels, task, at, notes)
    style = task.get("config", {}).get("choice_style") if isinstance(task.get("config"), dict) else None
    return NONE_APPLIES if style == "multiple" else None if style == "single" else ()


def _named(labels: Chosen, task: Mapping[str, Any], at: Problem, notes: Counter[str]) -> Chosen:
    """The options' ids; where these are numbers, what the options say."""
    accepted = task["accept"] if isinstance(task["accept"], list) else [task["accept"]]
    if not any(isinstance(one, JsonNumber) for one in accepted):
        return labels
    options = task.get("options")
    said = (
        {str(o.get("id")): o.get("text") for o in options if isinstance(o, dict)}
        if isinstance(options, list)
        else {}
    )
    found = [said.get(label) for label in labels]
    if not all(isinstance(one, str) and one for one in found):
        seen = "the accepted ids are numbers, and the task's options do not say what they mean"
        raise BadCell(
            Problem(seen, "ids that are labels", "Export with the options.", file=at.file, line=at.line)
        )
    notes["options whose ids are numbers are read as their texts"] += 1
    return tuple(sorted({str(one) for one in found}))


def _who(task: Mapping[str, Any]) -> str | None:
    found = task.get("_annotator_id") or task.get("_session_id")
    return None if found is None else str(found)


def _others(task: Mapping[str, Any], text: str) -> dict[str, Any]:
    """What stands in `meta`, and every plain value beside it that is not Prodigy's own."""
    meta = task.get("meta")
    plain = {
        key: value
        for key, value in task.items()
        if isinstance(value, str) and not key.startswith("_") and key not in (text, "answer", *QUESTIONS)
    }
    return {**(meta if isinstance(meta, dict) else {}), **plain}
