"""Reading a configuration: YAML in, a checked project out, all problems at once; and the JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from expectations.spec import GateRules
from flows.config.checks import absent_modules, secrets_in
from flows.config.messages import ConfigError, problems, seen
from flows.config.schema import Project
from flows.config.strict_yaml import StrictLoader
from flows.runner import runner_problems
from release.registry.store import absolute_address


def load_project(path: Path, *, backbone: str | None = None) -> Project:
    """Read and check a configuration; `backbone` replaces the encoder (a cut to `layers` stays).

    Raises:
        ConfigError: unreadable, not YAML, or any field is wrong; all problems at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.load(text, Loader=StrictLoader)
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}; check the path"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [f"byte {error.start} is not UTF-8; save the file as UTF-8"]) from None
    except yaml.YAMLError as error:
        raise ConfigError(path, [f"not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(raw, dict):
        raise ConfigError(path, [f"expected a mapping with `name`, `heads` and `sources`, saw {seen(raw)}"])
    if backbone is not None:
        before = raw.get("backbone")
        layers = before.get("layers") if isinstance(before, dict) else None
        raw["backbone"] = {"name": backbone} | ({"layers": layers} if layers is not None else {})
    if found := list(secrets_in(raw)):
        raise ConfigError(path, found)
    try:
        project = Project.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(path, list(problems(error, Project, text))) from None
    if found := [*absent_modules(project, path.resolve().parent), *runner_problems(project.runner)]:
        raise ConfigError(path, found)
    return _placed(project, path.parent.resolve())


def _placed(project: Project, base: Path) -> Project:
    """The project with what its settings keep of files as absolute paths: later commands have no
    configuration whose folder relative ones start from."""
    registry, deploy = project.registry, project.deploy
    if (address := registry.tracking_uri) is not None:
        registry = replace(registry, tracking_uri=absolute_address(address, base))
    if (token := deploy.token_file) is not None:
        deploy = replace(deploy, token_file=str(base / Path(token).expanduser()))
    return project.model_copy(update={"registry": registry, "deploy": deploy})


def gate_rules(raw: Mapping[str, Any], gone: Iterable[str] = ()) -> GateRules:
    """Gate rules as the record of a verdict keeps them.

    Args:
        gone: heads of the champion that the version does not answer. Headgate 0.1 had one consent for all of
            them, `allow_dropped_heads`.

    Raises:
        ConfigError: a field is unknown or out of its range: the record is of another version of Headgate.
    """
    fields = dict(raw)
    if fields.pop("allow_dropped_heads", False):
        fields["contract"] = {"allow": [f"drop {head}" for head in gone]}
    try:
        return TypeAdapter(GateRules).validate_python(fields)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError(Path("the gates that the version was judged by"), found) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the configuration, which editors read to complete and check it."""
    schema = Project.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Headgate project"
    definitions, properties = schema["$defs"], schema["properties"]
    # What the validators above accept in place of a mapping.
    backbone = properties["backbone"]
    properties["backbone"] = {
        "anyOf": [{"type": "string"}, backbone],
        "description": backbone.get("description", ""),
    }
    check = properties["label_check"]
    modes = {"enum": list(definitions["LabelCheck"]["properties"]["mode"]["enum"])}
    properties["label_check"] = {"anyOf": [modes, check], "description": check.get("description", "")}
    kinds = {"enum": list(definitions["HeadSpec"]["properties"]["kind"]["enum"])}
    properties["heads"]["patternProperties"] = {
        pattern: {"anyOf": [kinds, head]}
        for pattern, head in properties["heads"].get("patternProperties", {}).items()
    }
    return schema
