"""How a run ends that would take something away from clients and that nobody consented to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from expectations.contract.compare import Contract
from expectations.contract.findings import asks
from flows.config.schema import Project
from release.champion import ChampionRef


def consent_wanted(contract: Contract, champion: ChampionRef | None, project: Project) -> dict[str, Any]:
    """Fields of `flows.outcome.Outcome`: what clients of the champion would lose, and the lines that consent
    to it."""
    profile = None if champion is None else champion.profile
    return {"reasons": tuple(asks(contract, profile)), "paste": consent_yaml(contract, project)}


def needs_remarks(contract: Contract, champion: ChampionRef | None) -> tuple[str, ...]:
    """Of data that are only judged: what a retraining would end for, one sentence each."""
    profile = None if champion is None else champion.profile
    return tuple(f"a retraining ends before it trains: {one}" for one in asks(contract, profile))


def consent_yaml(contract: Contract, project: Project) -> str:
    """All consents that the run needs, those that are given already among them, as they fit into the
    configuration."""
    allow: Mapping[str, Any] = {"contract": {"allow": list(contract.kept_lines)}}
    if "gates" not in project.model_fields_set:
        return _yaml({"gates": allow})
    below = "\n".join(f"  {line}" for line in _yaml(allow).splitlines())
    return f"gates:  # beside what it holds; in place of `contract`, if it is there\n{below}"


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(value), allow_unicode=True, sort_keys=False, width=10_000)
    return text.rstrip("\n")
