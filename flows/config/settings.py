"""Fields of the configuration that are set from outside: `--set train.epochs=5`, `HEADGATE_TRAIN__EPOCHS=5`.

They are put into what was read of the file, before it is checked: bounds and messages are the same. Of two
that set one field, the command line wins over the environment, and both over the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from flows.config.strict_yaml import StrictLoader
from model.suggestions import did_you_mean

PREFIX = "HEADGATE_"
BETWEEN = "__"
"""Stands between the parts of a field's name in a variable."""
ALONE = ("backbone", "label_check")
"""Fields of the top that a variable without `__` may set: those that take a word."""

OPTIONS = "HEADGATE_SET"
"""Variable that carries the `--set` of a command to its flow and to processes that it starts: a JSON list."""

_SHORT = {
    ("backbone",): "name",
    ("label_check",): "mode",
    ("heads", "*"): "kind",
    ("sources", "*", "heads", "*"): "column",
}
"""Places where a plain word stands for one field of a section → that field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field that is set from outside."""

    origin: str
    """How it was given, without its value."""
    path: tuple[str, ...]
    value: str
    """As it was written; YAML."""

    @property
    def field(self) -> str:
        """Name of the field, with dots."""
        return ".".join(self.path)


def keep_options(options: Sequence[str]) -> None:
    """Let every configuration that this process and those it starts read have these `--set FIELD=VALUE`."""
    os.environ[OPTIONS] = json.dumps(list(options))


def options_of_process() -> list[str]:
    """The `--set` of the command that started this process."""
    try:
        found = json.loads(os.environ.get(OPTIONS) or "[]")
    except ValueError:
        return []
    return [option for option in found if isinstance(option, str)] if isinstance(found, list) else []


def given_settings(
    options: Sequence[str], fields: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[list[Setting], list[str]]:
    """(The settings, in the order in which they are put in; problems, a line each).

    Args:
        options: `FIELD=VALUE` of each `--set`.
        fields: names of the configuration's sections.
        environment: default: that of this process.
    """
    found: list[Setting] = []
    problems: list[str] = []
    for name, value in sorted((os.environ if environment is None else environment).items()):
        path = tuple(name.removeprefix(PREFIX).lower().split(BETWEEN))
        if not name.startswith(PREFIX) or (len(path) == 1 and path[0] not in ALONE):
            continue
        if path[0] not in fields:
            near = did_you_mean(path[0], fields)
            problems.append(f"{name}: the configuration has no section {path[0]!r}{near}; unset the variable")
            continue
        found.append(Setting(origin=name, path=path, value=value))
    for option in options:
        field, equals, value = option.partition("=")
        path = tuple(field.strip().split("."))
        if not equals or not all(path):
            problems.append(f"--set {field[:60]}: expected FIELD=VALUE, such as --set train.epochs=5")
            continue
        found.append(Setting(origin=f"--set {field.strip()}", path=path, value=value))
    return found, problems


def put_in(raw: dict[str, Any], settings: Sequence[Setting]) -> Iterator[str]:
    """Put the settings into what was read of a configuration; what can't be put in, a line each."""
    for setting in settings:
        try:
            value = yaml.load(setting.value, Loader=StrictLoader)
        except yaml.YAMLError:
            yield f"{setting.origin}: the value is not valid YAML; put a text with signs in quotes"
            continue
        if problem := _put(raw, setting.path, value):
            yield f"{setting.origin}: {problem}"


def _put(raw: dict[str, Any], path: tuple[str, ...], value: Any) -> str:
    """Set one field; why it can't be, or nothing."""
    place: Any = raw
    for at, part in enumerate(path[:-1]):
        below = _below(place, part)
        if below is None:
            below = {}
        elif isinstance(below, str) and (field := _short(path[: at + 1])) is not None:
            below = {field: below}
        elif not isinstance(below, dict | list):
            return f"{'.'.join(path[: at + 1])} is a plain value and has no fields"
        if isinstance(place, list):
            place[int(part)] = below
        else:
            place[part] = below
        place = below
    last = path[-1]
    if isinstance(place, list):
        if not last.isdigit() or int(last) >= len(place):
            return f"the list has {len(place)} items, from 0; no item {last!r}"
        place[int(last)] = value
    else:
        place[last] = value
    return ""


def _below(place: Any, part: str) -> Any:
    if isinstance(place, list):
        return place[int(part)] if part.isdigit() and int(part) < len(place) else ""
    return place.get(part)


def _short(path: tuple[str, ...]) -> str | None:
    """The field that a plain word at this place stands for."""
    for places, field in _SHORT.items():
        if len(places) == len(path) and all(a in ("*", b) for a, b in zip(places, path, strict=True)):
            return field
    return None


def with_origin(problem: str, settings: Sequence[Setting]) -> str:
    """A problem, beginning with the option or variable that set the field, if one did."""
    for setting in reversed(settings):
        if problem.startswith((f"{setting.field}:", f"{setting.field}.")):
            return f"{setting.origin}: {problem}"
    return problem
