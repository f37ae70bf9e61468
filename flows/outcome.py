"""What a flow hands back: a small value that the terminal shows and a scheduler can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never, get_args

from flows.cli import exit_codes

Stage = Literal[
    "deployed",
    "unchanged",
    "busy",
    "validated",
    "data_rejected",
    "needs_consent",
    "model_rejected",
    "held",
    "deployment_undone",
    "unconfirmed",
    "rolled_back",
    "taken_back",
    "swept",
]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""Every ending of a flow."""

LEFT = "left to a newer run of this schedule: "
"""Beginning of the reason of a run that did nothing because a newer one is due."""


def exit_code(stage: Stage) -> int:
    """Exit code of a command whose flow came so far."""
    match stage:
        case "deployed" | "unchanged" | "validated" | "rolled_back" | "swept":
            return exit_codes.DONE
        case "busy":
            return exit_codes.BUSY
        case "taken_back":
            return exit_codes.TAKEN_BACK
        case "data_rejected":
            return exit_codes.DATA_REJECTED
        case "needs_consent" | "model_rejected" | "held":
            return exit_codes.MODEL_REJECTED
        case "deployment_undone" | "unconfirmed":
            return exit_codes.FAILED
        case _:
            assert_never(stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a flow came, why it stopped there, and where to look."""

    stage: Stage
    name: str
    """Project."""
    sentence: str = ""
    """What became of the version, as its page says it; empty where nothing was judged."""
    reasons: tuple[str, ...] = ()
    """Why it was rejected, held, undone, taken back or not confirmed, what needs consent, or why nothing was
    done; of a deployment that was watched, what was seen."""
    paste: str = ""
    """Lines of YAML that would let it go on, for the configuration; empty where there are none."""
    remarks: tuple[str, ...] = ()
    """What did not decide and a person should know: of the data, then of the gates."""
    rows: tuple[Mapping[str, Any], ...] = ()
    """Rows of the verdict table (`report.verdict_table`)."""
    registered: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `run_id`, `tracking_uri`; empty when nothing was registered."""
    deployed: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `url`; empty when nothing was deployed."""
    undecided: bool = False
    """Whether the registered version could not be decided, so that it may be judged again or overridden."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """Title → file: the report, the data quality report, Data Docs."""
    seconds: float = 0.0
    """Wall time of the flow."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command line for this outcome."""
        return exit_code(self.stage)
