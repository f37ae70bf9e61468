"""The configuration: one YAML file a project, one schema, all errors at once.

The sections are the spec dataclasses of the layers below, so a field is declared once. Knows YAML,
paths and the schema; does not know what the fields do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from expectations.spec import DataRules, GateRules, LabelCheck, Rule
from flows.config.strict_yaml import StrictLoader
from flows.runner import RunnerSpec, runner_problems
from model.errors import HeadgateError
from model.spec import BackboneSpec, HeadSpec, PackageSpec, TrainSpec
from model.suggestions import did_you_mean
from release.spec import RegistrySpec
from serving.spec import DeploySpec
from sources.spec import SourceSpec, SplitSpec, source_problems, split_problems

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
"""A name in lower case letters, digits and underscores: it becomes a folder, a column and a URL."""


class ConfigError(HeadgateError):
    """The configuration cannot be used; `problems` holds one line for each reason, all of them."""

    kind = "usage"

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.problems = problems
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        super().__init__(f"{path}: {count}\n" + "\n".join(f"  {line}" for line in problems))


class ScheduleSpec(BaseModel):
    """When the flow runs unattended."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cron: str = "0 3 * * 1"
    """Cron expression of the retraining. Mondays at 3: new labels gather over a week."""
    validate_cron: str = "0 3 * * *"
    """Cron expression of the data validation, which is cheap: every day at 3."""
    timezone: str = "UTC"
    """IANA time zone of both."""


class Project(BaseModel):
    """One project: which questions, answered from which data, under which gates."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Name
    """Name of the project, of its registered model and of its endpoint."""
    backbone: BackboneSpec = Field(default_factory=BackboneSpec)
    """The pretrained encoder that all heads share. A plain string is its name."""
    heads: dict[Name, HeadSpec] = Field(min_length=1)
    """Head → kind, labels, loss weight, metric. A plain string is its kind."""
    sources: dict[Name, SourceSpec] = Field(min_length=1)
    """Source → where its texts and labels are."""
    split: SplitSpec = Field(default_factory=SplitSpec)
    """How rows without a given split are split, and what happens to conflicts."""
    train: TrainSpec = Field(default_factory=TrainSpec)
    """The recipe of the shared model and of every baseline."""
    package: PackageSpec = Field(default_factory=PackageSpec)
    """The bytes that ship."""
    expectations: DataRules = Field(default_factory=DataRules)
    """What is expected of the data."""
    label_check: LabelCheck = Field(default_factory=LabelCheck)
    """Whether labels that look wrong are searched for. A plain string is its mode."""
    gates: GateRules = Field(default_factory=GateRules)
    """When a model may ship."""
    registry: RegistrySpec = Field(default_factory=RegistrySpec)
    """Where models are registered."""
    deploy: DeploySpec = Field(default_factory=DeploySpec)
    """Where and how the champion serves."""
    schedule: ScheduleSpec = Field(default_factory=ScheduleSpec)
    """When it all runs unattended."""
    runner: RunnerSpec = Field(default_factory=RunnerSpec)
    """Where baselines are fitted, and how many at once."""

    @property
    def data_rules(self) -> DataRules:
        """The data expectations; `conflicts: error` makes any conflict critical."""
        if self.split.conflicts != "error":
            return self.expectations
        return replace(self.expectations, one_answer=Rule(severity="critical", tolerance=0.0))

    @field_validator("backbone", mode="before")
    @classmethod
    def _backbone_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("label_check", mode="before")
    @classmethod
    def _label_check_mode(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value

    @field_validator("heads", mode="before")
    @classmethod
    def _head_kind(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"kind": head} if isinstance(head, str) else head for name, head in value.items()}

    @field_validator("sources", mode="before")
    @classmethod
    def _target_columns(cls, value: Any) -> Any:
        # A union of str and dataclass reports every error twice; a plain column name is made a target here.
        if not isinstance(value, dict):
            return value
        sources = {}
        for name, source in value.items():
            if isinstance(source, dict) and isinstance(source.get("heads"), dict):
                targets = {
                    head: {"column": target} if isinstance(target, str) else target
                    for head, target in source["heads"].items()
                }
                source = {**source, "heads": targets}
            sources[name] = source
        return sources

    @model_validator(mode="after")
    def _names_agree(self) -> Project:
        problems = list(_disagreements(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _disagreements(project: Project) -> Iterator[str]:
    """What single fields cannot see: names that point at nothing, heads that no source labels."""
    heads = set(project.heads)
    for source_name, source in project.sources.items():
        yield from (f"sources.{source_name}.{line}" for line in source_problems(source, heads))
    labelled = {head for source in project.sources.values() for head in source.heads}
    for head in sorted(heads - labelled):
        yield f"heads.{head}: no source labels this head; name its column in one source's `heads`"
    for field in ("margins", "floors", "label_floors", "max_calibration_error"):
        for head in getattr(project.gates, field):
            if head not in heads:
                near = did_you_mean(head, heads)
                yield f"gates.{field}.{head}: no such head{near}; expected one of {_listed(heads)}"
    yield from _slice_disagreements(project)
    if project.deploy.threads != project.gates.latency_threads:
        yield (
            f"deploy.threads: {project.deploy.threads}, but gates.latency_threads is "
            f"{project.gates.latency_threads}; what is measured must be what serves: give both the same"
        )
    yield from (f"split.{line}" for line in split_problems(project.split, project.sources))
    for head, spec in project.heads.items():
        if len(set(spec.labels)) != len(spec.labels):
            yield f"heads.{head}.labels: a label is listed twice"
        if len(spec.labels) == 1 and spec.kind == "multiclass":
            yield f"heads.{head}.labels: one label only; a multiclass head needs two or more"


def _slice_disagreements(project: Project) -> Iterator[str]:
    heads = set(project.heads)
    known = {"source", "group", *heads}
    known |= {column for source in project.sources.values() for column in source.keep}
    for number, rule in enumerate(project.gates.slices):
        at, band = f"gates.slices.{number}", (rule.min_chars, rule.max_chars)
        if (rule.column is None) == (band == (None, None)):
            yield f"{at}: give either `column` or a band of `min_chars` and `max_chars`"
        elif rule.column is not None and rule.column not in known:
            near = did_you_mean(rule.column, known)
            yield (
                f"{at}.column: {rule.column!r} is not carried into the dataset{near}; expected one of "
                f"{_listed(known)}, or name it in a source's `keep`"
            )
        if rule.column is None and rule.values:
            yield f"{at}.values: a band of lengths has no values; give `column`"
        if None not in band and rule.min_chars > rule.max_chars:  # type: ignore[operator]
            yield f"{at}: min_chars {rule.min_chars} is more than max_chars {rule.max_chars}"
        if rule.margin is None and rule.floor is None:
            yield f"{at}: nothing is judged; give a `margin`, a `floor` or both"
        for head in rule.heads:
            if head not in heads:
                near = did_you_mean(head, heads)
                yield f"{at}.heads: no head {head!r}{near}; expected one of {_listed(heads)}"


def load_project(path: Path, *, backbone: str | None = None) -> Project:
    """Read and check a configuration; `backbone` replaces the encoder (a cut to `layers` stays).

    Raises:
        ConfigError: unreadable, not YAML, or any field is wrong; all problems at once.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}; check the path"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [f"byte {error.start} is not UTF-8; save the file as UTF-8"]) from None
    except yaml.YAMLError as error:
        raise ConfigError(path, [f"not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(raw, dict):
        raise ConfigError(path, [f"expected a mapping with `name`, `heads` and `sources`, saw {_seen(raw)}"])
    if backbone is not None:
        before = raw.get("backbone")
        layers = before.get("layers") if isinstance(before, dict) else None
        raw["backbone"] = {"name": backbone} | ({"layers": layers} if layers is not None else {})
    try:
        project = Project.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(path, list(_problems(error))) from None
    if problems := [*_absent_modules(project, path.resolve().parent), *runner_problems(project.runner)]:
        raise ConfigError(path, problems)
    return project


def _absent_modules(project: Project, base: Path) -> Iterator[str]:
    for at, name in enumerate(project.expectations.modules):
        if not name.endswith(".py") or not (base / name).is_file():
            yield (
                f"expectations.modules[{at}]: saw {_seen(name)}, expected a Python file (.py), given from "
                f"{base}"
            )


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


def _problems(error: ValidationError) -> Iterator[str]:
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
            known = _fields_at(item["loc"][:-1])
            key = str(item["loc"][-1])
            yield f"{where}: unknown field{did_you_mean(key, known)}; expected one of {_listed(known)}"
        elif kind in ("missing", "missing_argument"):
            yield f"{where}: missing; expected {_expectation_at(item['loc'])}"
        elif kind == "string_pattern_mismatch":
            yield f"{where}: saw {_seen(item['input'])}, expected lower-case letters, digits and underscores"
        else:
            expected = re.sub(r"^Input should be (?:a |an )?", "", message)
            yield f"{where}: saw {_seen(item['input'])}, expected {expected}"


def _is_scalar_member(place: tuple[int | str, ...]) -> bool:
    return bool(place) and place[-1] in ("str", "tuple[str, ...]")


def _fields_at(location: tuple[int | str, ...]) -> set[str]:
    """Names of the fields that a mapping at this place of the configuration may have."""
    annotation: Any = Project
    for part in location:
        annotation = _step(annotation, str(part))
    return set(_hints(annotation))


def _expectation_at(location: tuple[int | str, ...]) -> str:
    annotation: Any = Project
    for part in location:
        annotation = _step(annotation, str(part))
    if get_origin(annotation) is Literal:
        return " or ".join(repr(choice) for choice in get_args(annotation))
    schema = TypeAdapter(annotation).json_schema()
    return {"object": "a mapping", "string": "a text"}.get(schema.get("type", ""), "a value")


def _hints(annotation: Any) -> Mapping[str, Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: field.annotation for name, field in annotation.model_fields.items()}
    from typing import get_type_hints

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


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _seen(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
