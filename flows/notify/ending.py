"""What flows call: that a project was opened, that a run of it ended, that it failed.

Knows Prefect's hooks; does not know addresses.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flows import Flow

from flows.notify import record as records
from flows.notify.notices import drifted, failure, notice_of
from flows.notify.periods import longest_pause
from flows.notify.tell import tell
from flows.outcome import LEFT, Outcome, Stage
from flows.state_folder import config_home, existing_home, home_option
from model.errors import HeadgateError, foreseen, told
from release.home import Home

if TYPE_CHECKING:
    from flows.config.schema import Project
    from release.targets.deploy import DeployOutcome
    from report.quality.pages import Quality


def remember(home: Home, project: Project, config: Path) -> None:
    """Keep who is told of the project's events, and how often its flows run. Nothing is written where nobody
    is told, and was not before."""
    if not project.notify and not records.record_file(home, project.name).exists():
        return
    schedule = project.schedule
    crons = {"retrain": schedule.cron, "validate": schedule.validate_cron}
    with contextlib.suppress(OSError), records.changing(home, project.name) as record:
        record.config = str(config.resolve())
        record.targets = [{**asdict(one), "on": list(one.on)} for one in project.notify]
        record.since = record.since or time.time()
        pauses = {flow: longest_pause(cron, schedule.timezone) for flow, cron in crons.items() if cron}
        record.periods = {flow: pause for flow, pause in pauses.items() if pause is not None}


def told_ending(home: Home, outcome: Outcome) -> None:
    """Note that a run ended, and tell of it."""
    context = FlowRunContext.get()
    flow = context.flow.name if context is not None and context.flow is not None else ""
    if outcome.stage == "busy" or (outcome.reasons[:1] and outcome.reasons[0].startswith(LEFT)):
        flow = ""  # another run is to do the work: this one must not count as that
    config = _ended(home, outcome.name, flow)
    notice = notice_of(outcome, config, home_option(home.root, outcome.name))
    tell(home, outcome.name, [] if notice is None else [notice])


def told_failure(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook of a run that failed or crashed: tell of it, unless its outcome was told already."""
    told_already = state.name not in ("Failed", "Crashed", "TimedOut")  # another name has an outcome
    told_end(flow.name, run.parameters, None if told_already else _why(state))


def told_end(flow: str, parameters: Mapping[str, Any], why: str | None) -> None:
    """Note that a run of `flow` with these parameters ended without an outcome, and tell why, if it is
    given."""
    with contextlib.suppress(HeadgateError, OSError):
        home, name, config = _whose(parameters)
        _ended(home, name, flow)
        if why is not None:
            where = home_option(home.root, name)
            tell(home, name, [failure(name, why, what=flow, config=config, where=where)])


def _why(state: State[Any]) -> str:
    """Why a run failed. Of an error that nobody foresaw only its kind: its text might be one of the data."""
    error = getattr(state.data, "result", state.data)
    if isinstance(error, BaseException):
        if foreseen(error) is not None:
            return told(error)
        return f"{type(error).__name__}, which nobody foresaw; its traceback is in the log of the run"
    return "it was ended from outside" if state.name == "Crashed" else "it ended without a result"


def _ended(home: Home, name: str, flow: str) -> str:
    """Note that a run of a flow ended; the configuration of the project."""
    record = records.read(home, name)
    if record.targets and flow:
        with contextlib.suppress(OSError, TimeoutError), records.changing(home, name) as record:
            record.ended = {**record.ended, flow: time.time()}
    return record.config


def _whose(parameters: Mapping[str, Any]) -> tuple[Home, str, str]:
    """(State folder, project, configuration) of a run, by its parameters.

    Raises:
        flows.state_folder.NoHome: no state folder knows it.
    """
    given = parameters.get("home")
    folder = None if given is None else Path(str(given))
    if "config" not in parameters:
        name = str(parameters.get("name", ""))
        return Home(existing_home(folder, name)), name, ""
    config = Path(str(parameters["config"]))
    home = Home(config_home(config, folder))
    return home, records.project_of(home, config) or config.stem, str(config)


def told_drift(home: Home, name: str, config: Path, quality: Quality) -> None:
    """Tell of data that left the champion's beyond the fail level."""
    look = next(iter(quality.pages.values()), "")
    tell(home, name, [drifted(name, ", ".join(quality.drifted), look=look, config=config)])


def told_rollback(home: Home, name: str, done: DeployOutcome) -> None:
    """Tell of a rollback by a person's command."""
    stage: Stage = (
        "rolled_back" if done.deployed else "deployment_undone" if done.end == "undone" else "unconfirmed"
    )
    reasons = (done.reason,) if done.reason else ("a rollback was asked for",)
    outcome = Outcome(stage=stage, name=name, reasons=reasons, deployed={"version": done.serving})
    notice = notice_of(outcome, where=home_option(home.root, name))
    tell(home, name, [] if notice is None else [notice])
