"""From an outcome to the named state that a flow ends in.

Dashboards show as done what ended with exit code 0, or left its work to another run. All else is of the type
`FAILED`, red and counted as not done, under a name of its own: `Rejected` is no `Failed`. Prefect's events
carry the name, so an automation on `prefect.flow-run.Failed` pages for errors alone; no flow has retries
(decision 62).
"""

from __future__ import annotations

from typing import assert_never

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from flows.cli import exit_codes
from flows.outcome import STAGES, Outcome, Stage
from flows.schedule.endings import Ending, note_ending
from model.bundle.masking import masked
from release.home import Home


def state_name(stage: Stage) -> str:
    """Name of the final state of a flow that came so far."""
    match stage:
        case "deployed":
            return "Deployed"
        case "unchanged":
            return "Unchanged"
        case "busy":
            return "Busy"
        case "validated":
            return "Accepted"
        case "rolled_back" | "taken_back":
            return "RolledBack"
        case "swept":
            return "Swept"
        case "data_rejected" | "model_rejected":
            return "Rejected"
        case "needs_consent":
            return "NeedsConsent"
        case "held":
            return "Held"
        case "deployment_undone":
            return "Undone"
        case "unconfirmed":
            return "Unconfirmed"
        case _:
            assert_never(stage)


ENDINGS = frozenset(map(state_name, STAGES))
"""Names of the states that a flow gives itself, as errors do not."""


def noted(home: Home, outcome: Outcome) -> State[Outcome]:
    """The final state of the flow that this process runs, after its ending was noted in the state folder."""
    context = FlowRunContext.get()
    flow = context.flow.name if context is not None and context.flow is not None else ""
    end, why = state_name(outcome.stage), "; ".join(outcome.reasons)
    note_ending(home, outcome.name, Ending(flow=flow, end=end, detail=why, seconds=round(outcome.seconds, 1)))
    return final_state(outcome)


def final_state(outcome: Outcome) -> State[Outcome]:
    """The final state of a flow, with the outcome as its result.

    Its type follows the exit code: what a command would end with an error for is not completed here either.
    """
    message = "; ".join(outcome.reasons) or outcome.sentence or "every gate passed"
    if outcome.paste:
        message += f"; to consent, add to the configuration:\n{outcome.paste}"
    if outcome.remarks:
        message += f"; remarks: {'; '.join(outcome.remarks)}"
    make = Completed if outcome.exit_code in (exit_codes.DONE, exit_codes.BUSY) else Failed
    return make(name=state_name(outcome.stage), message=masked(message)[:2000], data=outcome)
