"""From an outcome to the named state that a flow ends in.

A rejection is a completed run: the flow did its work, and its gates did not pass. It is not retried, and
automations know it from a crash by its name.
"""

from __future__ import annotations

from typing import assert_never

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from flows.outcome import Outcome, Stage
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


def noted(home: Home, outcome: Outcome) -> State[Outcome]:
    """The final state of the flow that this process runs, after its ending was noted in the state folder."""
    context = FlowRunContext.get()
    flow = context.flow.name if context is not None and context.flow is not None else ""
    end, why = state_name(outcome.stage), "; ".join(outcome.reasons)
    note_ending(home, outcome.name, Ending(flow=flow, end=end, detail=why, seconds=round(outcome.seconds, 1)))
    return final_state(outcome)


def final_state(outcome: Outcome) -> State[Outcome]:
    """The final state of a flow, with the outcome as its result.

    A deployment that had to be undone, was taken back or could not be confirmed is a failed run: something is
    broken that a person must see.
    """
    message = "; ".join(outcome.reasons) or outcome.sentence or "every gate passed"
    if outcome.paste:
        message += f"; to consent, add to the configuration:\n{outcome.paste}"
    if outcome.remarks:
        message += f"; remarks: {'; '.join(outcome.remarks)}"
    bad = outcome.stage in ("deployment_undone", "taken_back", "unconfirmed")
    make = Failed if bad else Completed
    return make(name=state_name(outcome.stage), message=masked(message)[:2000], data=outcome)
