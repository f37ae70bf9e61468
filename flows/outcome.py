"""What a flow hands back: a small value that the terminal shows and a scheduler can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.cli import exit_codes as exits

Stage = Literal[
    "deployed", "validated", "data_rejected", "model_rejected", "deployment_undone", "rolled_back", "swept"
]

EXIT_CODES: Mapping[Stage, int] = {
    "deployed": exits.DONE,
    "validated": exits.DONE,
    "rolled_back": exits.DONE,
    "swept": exits.DONE,
    "data_rejected": exits.DATA_REJECTED,
    "model_rejected": exits.MODEL_REJECTED,
    "deployment_undone": exits.FAILED,
}
"""How far a flow came → exit code of the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a flow came, why it stopped there, and where to look."""

    stage: Stage
    name: str
    """Project."""
    reasons: tuple[str, ...] = ()
    """Why it was rejected or undone; warnings where it was not."""
    rows: tuple[Mapping[str, Any], ...] = ()
    """Rows of the verdict table (`report.verdict_table`)."""
    registered: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `run_id`, `tracking_uri`; empty when nothing was registered."""
    deployed: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `url`; empty when nothing was deployed."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """Title → file: the report, the data quality report, Data Docs."""
    seconds: float = 0.0
    """Wall time of the flow."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command line for this outcome."""
        return EXIT_CODES[self.stage]
