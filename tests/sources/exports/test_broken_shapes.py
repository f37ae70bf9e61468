"""Whatever stands in the place of a value in a tool's file, it is read or refused with a message; nothing
else."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.errors import DataError
from sources.formats.read import read_source
from sources.spec import SourceSpec
from tests.sources.exports.test_label_studio import FLAT, annotation, result, task
from tests.sources.exports.test_lines_and_nested import CLINC
from tests.sources.exports.test_other_tools import DOCCANO, FEEDBACK, FLATTENED, OLD, chosen, given, record

SOUND: dict[str, tuple[str, Any]] = {
    "Label Studio": ("label_studio", [task("a", annotation(result("topic", "x"))), task("b")]),
    "JSON-MIN": ("label_studio", FLAT),
    "doccano": ("doccano", DOCCANO),
    "Prodigy": ("prodigy", [chosen("a", ["x"]), chosen("b", [])]),
    "Prodigy, yes or no": ("prodigy", [{"text": "a", "label": "x", "answer": "reject", "meta": {"a": 1}}]),
    "Argilla": ("argilla", [record("a", given("x")), record("b", given(["x", "y"]))]),
    "Argilla, flat": ("argilla", FLATTENED),
    "Argilla, feedback": ("argilla", FEEDBACK),
    "Argilla 1": ("argilla", OLD),
    "spaCy": ("spacy", [{"text": "a", "cats": {"x": 1.0}}, ["b", {"cats": {"y": 1}}]]),
    "spaCy 2": ("spacy", [{"paragraphs": [{"raw": "a", "cats": [{"label": "x", "value": 1.0}]}]}]),
    "JSON by position": ("json", CLINC),
    "JSON by key": ("json", {"data": {"rows": [{"text": "a", "topic": "x", "tags": ["p"]}]}}),
}
ODD: tuple[Any, ...] = (None, 5, 0.5, "s", "", True, [], [[]], [None], {}, {"a": 1}, [{"a": [1]}])


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value inside."""
    yield way
    for step in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[step], (*way, step))


def replaced(value: Any, way: tuple[Any, ...], odd: Any) -> Any:
    if not way:
        return odd
    changed = copy.deepcopy(value)
    inside = changed
    for step in way[:-1]:
        inside = inside[step]
    inside[way[-1]] = odd
    return changed


@pytest.mark.parametrize("name", SOUND)
def test_an_odd_value_is_read_or_refused(name: str, tmp_path: Path) -> None:
    format, content = SOUND[name]
    file = tmp_path / "a.json"
    spec = SourceSpec(path="a.json", format=format)  # type: ignore[arg-type]
    outcomes = {"read": 0, "refused": 0}
    for way in places(content):
        for odd in ODD:
            file.write_text(json.dumps(replaced(content, way, odd)))
            try:
                raw = read_source("it", spec, tmp_path, lambda rows: None, ("topic",))
                outcomes["read"] += 1
                assert "topic" in raw.spec.heads
            except DataError as error:
                outcomes["refused"] += 1
                assert re.search("source 'it'", str(error))
            except Exception as error:
                raise AssertionError(f"{odd!r} at {way}: {error!r}") from error
    assert min(outcomes.values()) > 0, outcomes
