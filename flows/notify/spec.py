"""Who is told of what: the `notify` section of the YAML schema (stdlib only).

Addresses hold tokens, so they stand in the environment or in a file, never in the configuration. Does not
know how a message gets there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from model.spec import SCHEMA_CONFIG, Pattern

Event = Literal[
    "rejected",
    "inconclusive",
    "deployed",
    "unchanged",
    "rolled_back",
    "drifted",
    "failed",
    "override_expiring",
    "endpoint_refused",
    "not_run",
]
EVENTS: tuple[Event, ...] = get_args(Event)
"""Everything that somebody can be told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySpec:
    """One address and what it is told of."""

    __pydantic_config__ = SCHEMA_CONFIG

    on: tuple[Event, ...]
    """`rejected`: data or model did not pass, or clients would lose something. `inconclusive`: gates could
    not decide. `deployed`: a new version serves. `unchanged`: nothing was to be done. `rolled_back`: an
    earlier version serves again. `drifted`: the data left the champion's beyond the fail level. `failed`: a
    run ended without a result. `override_expiring`: an override ends within a day. `endpoint_refused`: the
    endpoint does not serve what it should, or a deployment was undone. `not_run`: no run has ended for 1.5
    times the pause of its schedule; noticed by `headgate up` and `headgate follow`."""
    url_env: Annotated[str, Pattern("[A-Za-z_][A-Za-z0-9_]*")] | None = None
    """Environment variable that holds the address, in the form of apprise (`mailto://…`, `slack://…`,
    `json://…` and some hundred others). It must be set where the flow runs."""
    url_file: str | None = None
    """File that holds the address instead, in its first line; a relative path starts at the configuration.
    Only its owner may read it (mode 0600)."""

    @property
    def place(self) -> str:
        """Where its address stands, as it is shown."""
        return f"url_env {self.url_env}" if self.url_env is not None else f"url_file {self.url_file}"


def notify_problems(specs: Sequence[NotifySpec]) -> Iterator[str]:
    """What keeps these from being used, one line each, with the field's place first."""
    for number, spec in enumerate(specs):
        if (spec.url_env is None) == (spec.url_file is None):
            yield f"notify.{number}: give either `url_env` or `url_file`: where the address stands"
        if not spec.on:
            yield f"notify.{number}.on: empty, so nothing is told; expected one of {', '.join(EVENTS)}"
