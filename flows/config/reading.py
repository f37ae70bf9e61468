"""From a file to a checked project: every problem of the file in one round, each with its place."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from flows.config.checks import absent_modules, secrets_in
from flows.config.messages import ConfigError, problems, seen
from flows.config.places import keys_twice, tree_of, with_place
from flows.config.schema import Project
from flows.config.settings import given_settings, options_of_process, put_in, with_origin
from flows.config.strict_yaml import LastKeyLoader
from flows.runner import RunnerSpec, runner_problems

ROUNDS = 8
"""How often what is wrong is taken out to see what else is."""


def read_project(path: Path, backbone: str | None) -> Project:
    """The project of a file, with what is set from outside put in.

    Args:
        backbone: replaces the encoder (a cut to `layers` stays).

    Raises:
        ConfigError: unreadable, not YAML, or any field is wrong; all problems at once.
    """
    text = _text(path)
    try:
        raw = yaml.load(text, Loader=LastKeyLoader)
    except yaml.YAMLError as error:
        raise ConfigError(path, [_not_yaml(error)]) from None
    tree = tree_of(text)
    found = list(keys_twice(tree))
    if not isinstance(raw, dict):
        raise ConfigError(path, [f"expected a mapping with `name`, `heads` and `sources`, saw {seen(raw)}"])
    settings, wrong = given_settings(options_of_process(), list(Project.model_fields))
    found += [*wrong, *put_in(raw, settings)]
    if backbone is not None:
        before = raw.get("backbone")
        layers = before.get("layers") if isinstance(before, dict) else None
        raw["backbone"] = {"name": backbone} | ({"layers": layers} if layers is not None else {})
    secrets = list(secrets_in(raw))
    held = {line.partition(": ")[0] for line in secrets}
    project, checked = _checked(raw, text)
    others = [line for line in checked if line.partition(": ")[0] not in held]
    if not secrets:  # what this machine lacks can wait, a secret in a file can't
        others += _not_here(raw, path.resolve().parent)
    for line in [*secrets, *others]:
        told = with_origin(line, settings)
        found.append(with_place(line, tree) if told == line else told)
    if found or project is None:
        raise ConfigError(path, found)
    return project


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}; check the path"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [f"byte {error.start} is not UTF-8; save the file as UTF-8"]) from None


def _not_yaml(error: yaml.YAMLError) -> str:
    """Why a file is no YAML, with the place where that was seen."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = " ".join(str(getattr(error, "problem", None) or error).split())
    context = " ".join(str(getattr(error, "context", None) or "").split())
    said = f"not valid YAML: {what}" + (f" ({context})" if context else "")
    return said if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {said}"


def _not_here(raw: dict[str, Any], base: Path) -> Iterator[str]:
    """What sections name that this machine does not have; sections that are not sound are passed over."""
    section = raw.get("expectations")
    modules = section.get("modules") if isinstance(section, dict) else None
    if isinstance(modules, list) and all(isinstance(name, str) for name in modules):
        yield from absent_modules(modules, base)
    with contextlib.suppress(ValidationError):
        yield from runner_problems(TypeAdapter(RunnerSpec).validate_python(raw.get("runner") or {}))


def _checked(raw: dict[str, Any], text: str) -> tuple[Project | None, list[str]]:
    """(The project, without what is wrong where that can be left out; all problems).

    Names that point at nothing can only be looked for in a project whose fields are sound: those that are not
    are taken out, until it is.
    """
    found: list[str] = []
    raw, unsure = copy.deepcopy(raw), False
    for _ in range(ROUNDS):
        try:
            return Project.model_validate(raw), found
        except ValidationError as error:
            for line in problems(error, Project, text):
                if line not in found and not (unsure and "no source labels this head" in line):
                    found.append(line)
            places = [item["loc"] for item in error.errors(include_url=False) if item["loc"]]
            if not places:  # names that point at nothing: no field is to be taken out
                return None, found
            for place in places:
                removed = _take_out(raw, place)
                if removed is None:
                    return None, found
                unsure |= removed
    return None, found


def _take_out(raw: dict[str, Any], place: tuple[int | str, ...]) -> bool | None:
    """Take out what stands at a place, or put something sound there; whether a head may have lost its source,
    None where nothing could be done."""
    match place:
        case ("name", *_):
            raw["name"] = "a"
            return False
        case ("heads", str(head), *_) if isinstance(raw.get("heads"), dict) and "[key]" not in place:
            raw["heads"][head] = "multiclass"
            return False
        case ("sources" | "heads",):
            return None
    keys = list(_keys(raw, place))
    if not keys or keys in (["sources"], ["heads"]):
        return None
    *above, last = keys
    inside: Any = raw
    for key in above:
        inside = inside[key]
    del inside[last]
    return keys[0] == "sources"


def _keys(raw: Any, place: tuple[int | str, ...]) -> Iterator[str]:
    """The keys of mappings on the way to a place, as far as they are there."""
    for part in place:
        if not isinstance(raw, dict) or part not in raw:
            return
        yield str(part)
        raw = raw[part]
