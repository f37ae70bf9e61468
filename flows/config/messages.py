"""What is wrong with a configuration, in words: field, what was seen, what was expected.

Knows pydantic's errors; does not know the project's fields beyond their types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from flows.config.strict_yaml import reading_of
from model.bundle.masking import masked
from model.errors import HeadgateError
from model.suggestions import did_you_mean


class ConfigError(HeadgateError):
    """The configuration cannot be used; `problems` holds one line for each reason, all of them."""

    kind = "usage"

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        super().__init__(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in problems))


GONE = {
    "gates.allow_dropped_heads": (
        "there is no general consent any more; name each head that is meant to go: "
        "`gates.contract.allow: [drop HEAD]`"
    ),
}
"""Field that an earlier version had → what replaces it."""


def problems(error: ValidationError, root: type[BaseModel], text: str = "") -> Iterator[str]:
    """One line for each error of a file that was checked against `root`.

    Args:
        text: the file, so that a word that YAML did not take for text can be shown where it stands.
    """
    items = error.errors(include_url=False)
    places = [item["loc"] for item in items]
    for item in items:
        # A union reports an error for each of its members: keep those of the one that was meant.
        place = item["loc"]
        if _is_scalar_member(place) and any(
            other[: len(place) - 1] == place[:-1] and not _is_scalar_member(other) for other in places
        ):
            continue
        where = ".".join(
            str(part) for part in item["loc"] if part not in ("str", "TargetSpec", "tuple[str, ...]")
        )
        kind, message = item["type"], item["msg"]
        if kind == "value_error":
            yield from str(item["ctx"]["error"]).splitlines()
        elif kind in ("unexpected_keyword_argument", "extra_forbidden"):
            if where in GONE:
                yield f"{where}: {GONE[where]}"
                continue
            known = _fields_at(root, item["loc"][:-1])
            key = str(item["loc"][-1])
            yield f"{where}: unknown field{did_you_mean(key, known)}; expected one of {listed(known)}"
        elif kind in ("missing", "missing_argument"):
            yield f"{where}: missing; expected {_expectation_at(root, item['loc'])}"
        elif kind == "string_pattern_mismatch":
            pattern = item["ctx"]["pattern"]
            expected = pattern
            if "a-z0-9_" in pattern:
                signs = "digits, hyphens and underscores" if "_-" in pattern else "digits and underscores"
                expected = f"lower-case letters, {signs}"
            yield f"{where}: saw {seen(item['input'])}, expected {expected}"
        elif kind == "string_type" and text and (read := reading_of(text, place)):
            yield f"{where.removesuffix('.[key]')}: {read}"
        else:
            expected = re.sub(r"^Input should be (?:a |an )?", "", message)
            expected = re.sub(r"dictionary or an instance of \w+", "a text or a mapping", expected)
            yield f"{where}: saw {seen(item['input'])}, expected {expected}"


def _is_scalar_member(place: tuple[int | str, ...]) -> bool:
    return bool(place) and place[-1] in ("str", "tuple[str, ...]")


def _fields_at(root: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """Names of the fields that a mapping at this place of the configuration may have."""
    annotation: Any = root
    for part in location:
        annotation = _step(annotation, str(part))
    return set(_hints(annotation))


def _expectation_at(root: type[BaseModel], location: tuple[int | str, ...]) -> str:
    annotation: Any = root
    for part in location:
        annotation = _step(annotation, str(part))
    if get_origin(annotation) is Literal:
        return " or ".join(repr(choice) for choice in get_args(annotation))
    schema = TypeAdapter(annotation).json_schema()
    return {"object": "a mapping", "string": "a text"}.get(schema.get("type", ""), "a value")


def _hints(annotation: Any) -> Mapping[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: field.annotation for name, field in annotation.model_fields.items()}
    return get_type_hints(annotation, include_extras=False) if isinstance(annotation, type) else {}


def _step(annotation: Any, part: str) -> Any:
    """The annotation one part further into the configuration."""
    hints = _hints(annotation)
    if part in hints:
        return _mapping_type(hints[part])
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return _mapping_type(arguments[1])
    return annotation


def _mapping_type(annotation: Any) -> Any:
    """Of a union, the member that is a section; else the annotation itself."""
    for member in get_args(annotation):
        if isinstance(member, type) and hasattr(member, "__dataclass_fields__"):
            return member
    return annotation


def listed(names: set[str]) -> str:
    """Names in order, with commas."""
    return ", ".join(sorted(names))


def seen(value: Any) -> str:
    """A value as it stands in the file, secrets masked, cut where it is long."""
    text = masked(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else text[:57] + "…"
