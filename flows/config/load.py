"""Reading a configuration: YAML in, a checked project out, all problems at once; and the JSON Schema."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from expectations.spec import GateRules
from flows.config.messages import ConfigError
from flows.config.reading import read_project
from flows.config.schema import Project
from release.registry.store import absolute_address

TRACKING_VARIABLE, EXPERIMENT_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
"""MLflow's own variables: they hold where the configuration names neither registry nor experiment."""


def load_project(path: Path, *, backbone: str | None = None) -> Project:
    """Read and check a configuration; `backbone` replaces the encoder (a cut to `layers` stays). Fields may
    be set from outside (`flows.config.settings`).

    Raises:
        ConfigError: unreadable, not YAML, or any field is wrong; all problems at once.
    """
    return _placed(read_project(path, backbone), path.parent.resolve())


def _placed(project: Project, base: Path) -> Project:
    """The project with what its settings keep of files as absolute paths: later commands have no
    configuration whose folder relative ones start from."""
    registry, deploy = project.registry, project.deploy
    if (address := registry.tracking_uri) is not None:
        registry = replace(registry, tracking_uri=absolute_address(address, base))
    elif address := os.environ.get(TRACKING_VARIABLE):
        registry = replace(registry, tracking_uri=absolute_address(address, Path.cwd()))
    if registry.experiment is None and (experiment := os.environ.get(EXPERIMENT_VARIABLE)):
        registry = replace(registry, experiment=experiment)
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
