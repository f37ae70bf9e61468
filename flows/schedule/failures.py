"""Note a run that ended by an error, where the flow itself could not: a hook of Prefect's."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from flows.ending import ENDINGS
from flows.schedule.endings import Ending, note_ending
from flows.state_folder import config_home, existing_home
from model.errors import HeadgateError
from release.home import Home


def note_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Note how the run ended, unless the flow named its end itself: that is noted already."""
    if state.name in ENDINGS:
        return
    first = "".join((state.message or "").strip().splitlines()[:1])
    note_end(flow.name, flow_run.parameters, state.name or "Failed", first)


def note_end(flow: str, parameters: Mapping[str, Any], end: str, why: str) -> None:
    """Note that a run of `flow` with these parameters ended so, where it can be known whose it was."""
    with contextlib.suppress(HeadgateError, OSError, ValueError):  # the error itself must stay the one shown
        if (where := _project_of(parameters)) is not None:
            note_ending(*where, Ending(flow=flow, end=end, detail=why))


def _project_of(parameters: Mapping[str, Any]) -> tuple[Home, str] | None:
    """(State folder, name) of the project that a run with these parameters is of; None where it can't be
    known: its configuration may be what is broken."""
    home = None if parameters.get("home") is None else Path(str(parameters["home"]))
    if "config" not in parameters:
        name = str(parameters.get("name", ""))
        return Home(existing_home(home, name)), name
    config = Path(str(parameters["config"]))
    folder = config_home(config, home)
    if not folder.is_dir():
        return None
    try:
        name = str(yaml.safe_load(config.read_text(encoding="utf-8"))["name"])
    except (yaml.YAMLError, KeyError, TypeError):
        return None
    return (Home(folder), name) if re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name) else None
