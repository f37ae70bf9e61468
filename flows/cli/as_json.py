"""What commands print for programs (`--json`); docs/json.md documents each object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flows.outcome import Outcome
from model.bundle.masking import masked


def outcome_json(outcome: Outcome, state: str) -> dict[str, Any]:
    """How a run ended, as `retrain --json` and `validate --json` print it.

    Args:
        state: name of the flow's final state.
    """
    return {
        "name": outcome.name,
        "stage": outcome.stage,
        "state": state,
        "exit_code": outcome.exit_code,
        "sentence": outcome.sentence,
        "seconds": round(outcome.seconds, 3),
        "reasons": list(outcome.reasons),
        "paste": outcome.paste,
        "remarks": list(outcome.remarks),
        "verdict": [dict(row) for row in outcome.rows],
        "undecided": outcome.undecided,
        "registered": dict(outcome.registered) or None,
        "deployed": dict(outcome.deployed) or None,
        "pages": dict(outcome.pages),
    }


def json_line(value: Mapping[str, Any]) -> str:
    """An object on one line, secrets masked."""
    return masked(json.dumps(value, ensure_ascii=False, default=str))
