"""The configuration's schema: one class for the file, whose sections are the spec classes of the rooms below,
so that a field is declared once.

Knows the fields and their short forms; does not know what they do.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from expectations.spec import DataRules, GateRules, LabelCheck, Rule
from flows.config.checks import disagreements
from flows.config.schedule import cooldown_span
from flows.notify.spec import NotifySpec
from flows.runner import RunnerSpec
from model.spec import BackboneSpec, HeadSpec, PackageSpec, TrainSpec
from release.keep.spec import KeepSpec
from release.spec import RegistrySpec
from serving.spec import DeploySpec
from sources.spec import SourceSpec, SplitSpec

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
"""A name in lower case letters, digits and underscores: it becomes a folder, a column and a URL."""


ProjectName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=63)]
"""A name in lower case letters, digits, underscores and hyphens: it becomes a folder and part of a URL."""


class ScheduleSpec(BaseModel):
    """When the flow runs unattended."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cron: str | None = "0 3 * * 1"
    """Cron expression of the retraining: minute, hour, day of month, month, weekday. Mondays at 3: new labels
    gather over a week. `null`: it starts by hand and by drift alone."""
    validate_cron: str | None = "0 1 * * *"
    """Cron expression of the data validation, which is cheap: every day at 1. `null`: by hand alone. Never in
    the minute of a retraining, which judges the data itself."""
    timezone: str = "UTC"
    """IANA time zone of both. A time that the clock skips in spring comes an hour earlier or, from Python
    3.13 on, later; one that comes twice in autumn counts the first time."""
    cooldown: str = "24h"
    """How long after one retraining that drift started no drift starts another: `90m`, `24h`, `7d`. Data that
    have started one do not start another at all."""
    min_change: Annotated[int, Field(ge=0)] = 0
    """Rows of a head that must have changed since the champion (new, gone, or with another label, split or
    weight) for a retraining to train: with fewer in every head it ends `Unchanged` and says how many. Counted
    from the champion's data, so that small changes add up. 0: any change counts."""

    @property
    def cooldown_span(self) -> timedelta:
        """`cooldown` as a time span; a day where it can't be read, which is refused elsewhere."""
        return cooldown_span(self.cooldown) or timedelta(days=1)


class Project(BaseModel):
    """One project: which questions, answered from which data, under which gates."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: ProjectName
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
    notify: list[NotifySpec] = Field(default_factory=list)
    """Who is told of what."""
    keep: KeepSpec = Field(default_factory=KeepSpec)
    """What is kept of what runs leave behind; the rest is removed at the end of a run and by
    `headgate clean`."""

    @property
    def data_rules(self) -> DataRules:
        """The data expectations; `conflicts: error` makes any conflict critical."""
        if self.split.conflicts != "error":
            return self.expectations
        return replace(self.expectations, one_answer=Rule(severity="critical", tolerance=0.0))

    @model_validator(mode="before")
    @classmethod
    def _one_number_of_versions(cls, raw: Any) -> Any:
        """`deploy.keep_versions` is the older name of `keep.versions`; both are given the same."""
        if not isinstance(raw, dict):
            return raw
        keep, deploy = ({} if raw.get(one) is None else raw[one] for one in ("keep", "deploy"))
        if not isinstance(keep, dict) or not isinstance(deploy, dict):
            return raw
        new, old = keep.get("versions"), deploy.get("keep_versions")
        if new is not None and old is not None and new != old:
            raise ValueError(
                f"keep.versions: saw {new}, but deploy.keep_versions, its older name, is {old}; give one"
            )
        if new is not None:
            return {**raw, "deploy": {**deploy, "keep_versions": new}}
        return raw if old is None else {**raw, "keep": {**keep, "versions": old}}

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

    @field_validator("gates", mode="before")
    @classmethod
    def _consents_are_lines(cls, value: Any) -> Any:
        # YAML reads a line with a colon and a blank behind it, `drop marks: cold`, as a mapping of one pair.
        contract = value.get("contract") if isinstance(value, dict) else None
        lines = contract.get("allow") if isinstance(contract, dict) else None
        if not isinstance(contract, dict) or not isinstance(lines, list):
            return value
        return {**value, "contract": {**contract, "allow": [_as_line(line) for line in lines]}}

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
        problems = list(disagreements(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _as_line(item: Any) -> Any:
    if isinstance(item, dict) and len(item) == 1:
        ((key, value),) = item.items()
        if isinstance(key, str) and isinstance(value, str):
            return f"{key}: {value}"
    return item
