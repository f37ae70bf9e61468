"""The configuration's schema: one class for the file, whose sections are the spec classes of the rooms below,
so that a field is declared once.

Knows the fields and their short forms; does not know what they do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from expectations.spec import DataRules, GateRules, LabelCheck, Rule
from flows.config.checks import disagreements
from flows.runner import RunnerSpec
from model.spec import BackboneSpec, HeadSpec, PackageSpec, TrainSpec
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

    cron: str = "0 3 * * 1"
    """Cron expression of the retraining. Mondays at 3: new labels gather over a week."""
    validate_cron: str = "0 3 * * *"
    """Cron expression of the data validation, which is cheap: every day at 3."""
    timezone: str = "UTC"
    """IANA time zone of both."""


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
        problems = list(disagreements(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self
