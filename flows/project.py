"""Opening a project: what every flow does first, and how every flow ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State

from flows.check.encoder import chosen_encoder
from flows.config.checks import unknown_labels
from flows.config.load import load_project
from flows.config.messages import ConfigError
from flows.config.schema import Project
from flows.ending import noted
from flows.notify.ending import remember, told_ending
from flows.outcome import Outcome, Stage
from flows.parts.end import tidy
from flows.parts.graph import STEP_S
from flows.prefect_runs import log_to_prefect, mark_flow_run, mask_states
from flows.shown.ended import published
from flows.shown.progress import show_progress
from flows.state_folder import config_home, existing_home, prepare
from model.spec import HeadSpec
from release.home import Home
from report.progress import print_line


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProject:
    """A project whose flow has begun."""

    project: Project
    home: Home
    """State folder."""
    config: Path
    """Its configuration."""
    started_s: float = field(default_factory=time.monotonic)

    @property
    def base(self) -> Path:
        """The configuration's folder, which relative paths in it start from."""
        return self.config.resolve().parent

    def check_labels(self, heads: Mapping[str, HeadSpec]) -> None:
        """Refuse gates that name a label which the data do not have, before anything is trained.

        Args:
            heads: labels filled in.

        Raises:
            flows.config.messages.ConfigError: a label is unknown.
        """
        if found := list(unknown_labels(heads, self.project.gates)):
            raise ConfigError(self.config, found)

    def ended(self, stage: Stage, **known: Any) -> State[Outcome]:
        """The final state of the flow. `known` are fields of `flows.outcome.Outcome`."""
        seconds = time.monotonic() - self.started_s
        outcome = Outcome(stage=stage, name=self.project.name, seconds=seconds, **known)
        published(outcome)
        told_ending(self.home, outcome)
        tidy(self.home, self.project, self.config)
        return noted(self.home, outcome)


def open_home(home: Path | None, name: str) -> Home:
    """As `open_project`, for a flow that has a project's name and no configuration.

    Raises:
        flows.state_folder.NoHome: no state folder knows the project.
    """
    mask_states()
    folder = existing_home(home, name)
    prepare(folder, on_console=False)
    log_to_prefect()
    show_progress()
    mark_flow_run()
    return Home(folder)


def open_project(config: Path, home: Path | None = None, backbone: str | None = None) -> OpenProject:
    """Keep every library's state in the project's folder, note which process runs the flow, and read the
    configuration.

    Args:
        config: the configuration file.
        home: state folder; by default as `flows.state_folder.config_home` says.
        backbone: replaces the configured encoder.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
    """
    mask_states()
    folder = config_home(config, home)
    prepare(folder, on_console=False)
    log_to_prefect()
    show_progress()
    mark_flow_run()
    project, said = chosen_encoder(load_project(config, backbone=backbone), folder)
    if said:
        print_line(f"  {said}")
    STEP_S.set(project.runner.step_timeout_s)
    opened = OpenProject(project=project, home=Home(folder), config=config)
    remember(opened.home, opened.project, config)
    return opened
