"""One run in MLflow for each run of a flow: opened before the work, ended with what came of it.

A registry that is away fails no flow here: it goes on, and registering makes the run. Order only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prefect.client.schemas.objects import State

from flows.outcome import Outcome
from flows.project import OpenProject
from release.registry.tracking.flow_run import Tracked, end_flow_run, open_or_none
from release.registry.tracking.report_folder import log_report
from report.progress import print_line

AWAY = "  the registry is away: MLflow shows this run when its version is registered"


def in_mlflow(
    opened: OpenProject, flow: str, work: Callable[[Tracked | None], State[Outcome]]
) -> State[Outcome]:
    """What `work` gives, followed by a run of MLflow's."""
    registry, name = opened.project.registry, opened.project.name
    tracked = open_or_none(opened.home, name, registry, flow=flow, config=opened.config)
    if tracked is None:
        print_line(AWAY)
        return work(None)
    try:
        state = work(tracked)
    except BaseException as error:
        killed = not isinstance(error, Exception)
        end_flow_run(
            tracked,
            "stopped" if killed else "failed",
            failed=True,
            killed=killed,
            why=f"{type(error).__name__}",
        )
        raise
    if isinstance(outcome := state.data, Outcome):
        if not outcome.registered:
            log_report(tracked, [Path(page) for page in outcome.pages.values()])
        end_flow_run(tracked, word_of(outcome), failed=state.is_failed(), why="\n".join(outcome.reasons))
    else:
        end_flow_run(tracked, "failed", failed=True)
    return state


def word_of(outcome: Outcome) -> str:
    """What became of a flow, as the last word of its run's name."""
    if outcome.stage == "model_rejected":
        return "inconclusive" if outcome.undecided else "fail"
    return outcome.stage.replace("_", " ")
