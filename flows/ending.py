"""From an outcome to the named state that a flow ends in.

A rejection is a completed run: the flow did its work and says no. It is not retried, and automations
can tell it from a crash by its name.
"""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.outcome import Outcome, Stage

NAMES: dict[Stage, str] = {
    "deployed": "Deployed",
    "validated": "Accepted",
    "rolled_back": "RolledBack",
    "swept": "Swept",
    "data_rejected": "Rejected",
    "model_rejected": "Rejected",
}
"""How far a flow came → name of its final state."""


def ending(outcome: Outcome) -> State[Outcome]:
    """The final state of a flow, with the outcome as its result.

    A deployment that had to be undone is a failed run: something is broken that a person must see.
    """
    message = "; ".join(outcome.reasons)[:2000] or "every gate passed"
    if outcome.stage == "deployment_undone":
        return Failed(name="Undone", message=message, data=outcome)
    return Completed(name=NAMES[outcome.stage], message=message, data=outcome)
