"""A sweep in MLflow: the flow's run, and a child run for each point, which its training opened.

Nothing global is set. Does not register anything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.references import SweepPoint
from release.home import Home
from release.registry.client import open_registry
from release.registry.tracking.course import open_child
from release.registry.tracking.flow_run import Tracked, end_flow_run, open_flow_run
from release.registry.tracking.report_folder import log_pages
from release.spec import RegistrySpec

SWEPT = "swept"
"""Last word of the run's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep found."""

    points: Sequence[SweepPoint]
    chosen: int
    """Position of the point with the best mean."""
    page: Path
    fingerprint: str
    """Of the data."""


def point_label(number: int) -> str:
    """What the point is called by its child run's tag."""
    return f"point:{number}"


def log_sweep(home: Home, name: str, spec: RegistrySpec, found: Sweep, tracked: Tracked) -> None:
    """Log weights and validation metrics of each point, and those of the chosen one with the sweep.

    Raises:
        release.registry.client.RegistryProblem: the registry cannot be reached.
    """
    registry = open_registry(home, name, spec)
    with registry.asked("log a sweep"):
        client = registry.client
        for number, point in enumerate(found.points):
            child = open_child(client, tracked, point_label(number + 1))
            client.set_tag(child, "headgate.chosen", str(number == found.chosen).lower())
            _log(client, child, point, {"seconds": point.seconds})
            if client.get_run(child).info.status == "RUNNING":
                client.set_terminated(child)
        client.set_tag(tracked.run, "headgate.dataset_fingerprint", found.fingerprint)
        client.set_tag(tracked.run, "headgate.sweep", str(len(found.points)))
        _log(client, tracked.run, found.points[found.chosen], {})


def sweep_without_run(home: Home, name: str, spec: RegistrySpec, found: Sweep, config: Path) -> Tracked:
    """As `log_sweep`, of a flow whose start found the registry away: its run is opened and ended here.

    Args:
        config: the configuration file.

    Raises:
        release.registry.client.RegistryProblem: the registry cannot be reached.
    """
    tracked = open_flow_run(home, name, spec, flow="sweep", config=config)
    log_sweep(home, name, spec, found, tracked)
    registry = open_registry(home, name, spec)
    with registry.asked("log the page of a sweep"):
        log_pages(registry.client, tracked.run, found.page)
    end_flow_run(tracked, SWEPT)
    return tracked


def _log(client: Any, run_id: str, point: SweepPoint, more: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    figures = {**{f"best/{head}": value for head, value in point.metrics.items()}, **more}
    metrics = [Metric(k, float(v), now_ms, 0) for k, v in figures.items() if math.isfinite(v)]
    params = [Param(f"weight/{head}", f"{weight:.6g}") for head, weight in point.weights.items()]
    client.log_batch(run_id, metrics=metrics, params=params)
