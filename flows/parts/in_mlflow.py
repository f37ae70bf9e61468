"""One run in MLflow for each run of a flow: opened before the work, ended with what came of it.

A registry that is away fails no flow here: it goes on, and logging what came of it makes the run. Order
only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prefect.client.schemas.objects import State

from flows.cli import exit_codes
from flows.outcome import Outcome
from flows.project import OpenProject
from release.registry.tracking.flow_run import Tracked, end_flow_run, open_or_none
from release.registry.tracking.report_folder import log_report
from report.progress import print_line

AWAY = "  the registry is away: MLflow shows this run when what came of it is logged there"


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
    except Exception as error:
        end_flow_run(tracked, "failed", failed=True, why=type(error).__name__)
        raise
    except BaseException:  # stopped from outside
        end_flow_run(tracked, "stopped", killed=True)
        raise
    if not isinstance(outcome := state.data, Outcome):
        end_flow_run(tracked, "failed", failed=True)
        return state
    if not outcome.registered:
        log_report(tracked, [Path(page) for page in outcome.pages.values()])
    failed = outcome.exit_code == exit_codes.FAILED
    end_flow_run(tracked, word_of(outcome), failed=failed, why="\n".join(outcome.reasons))
    return state


def word_of(outcome: Outcome) -> str:
    """What became of a flow, as the last word of its run's name."""
    if outcome.stage == "model_rejected":
        return "inconclusive" if outcome.undecided else "fail"
    return outcome.stage.replace("_", " ")
