"""A sweep in MLflow: one run for the sweep, one child run for each point.

Nothing global is set. Does not register anything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from model.references import SweepPoint
from release.home import Home
from release.registry.client import open_registry
from release.registry.run import experiment_id
from release.spec import RegistrySpec

PARENT_TAG = "mlflow.parentRunId"
"""Tag by which MLflow's interface folds child runs under their parent."""


def log_sweep(
    home: Home,
    name: str,
    spec: RegistrySpec,
    points: Sequence[SweepPoint],
    chosen: int,
    page: Path,
    *,
    fingerprint: str,
) -> str:
    """Id of the parent run.

    Raises:
        release.registry.client.RegistryProblem: the registry cannot be reached.
    """
    from mlflow.entities import Metric, Param

    registry = open_registry(home, name, spec)
    with registry.asked("log a sweep"):
        client = registry.client
        experiment = experiment_id(registry, home, spec.experiment or name, spec)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        tags = {"headgate.dataset_fingerprint": fingerprint, "headgate.sweep": str(len(points))}
        parent = client.create_run(experiment, run_name=f"sweep-{stamp}", tags=tags).info.run_id
        for number, point in enumerate(points):
            child = client.create_run(
                experiment,
                run_name=f"sweep-{stamp}-{number + 1}",
                tags={PARENT_TAG: parent, "headgate.chosen": str(number == chosen).lower()},
            ).info.run_id
            now_ms = int(time.time() * 1000)
            figures = {**{f"validation.{h}": v for h, v in point.metrics.items()}, "seconds": point.seconds}
            client.log_batch(
                child,
                metrics=[Metric(k, float(v), now_ms, 0) for k, v in figures.items() if math.isfinite(v)],
                params=[Param(f"weight.{head}", f"{weight:.6g}") for head, weight in point.weights.items()],
            )
            client.set_terminated(child)
        best = points[chosen]
        client.log_batch(
            parent,
            metrics=[
                Metric(f"validation.{h}", float(v), int(time.time() * 1000), 0)
                for h, v in best.metrics.items()
            ],
            params=[Param(f"weight.{head}", f"{weight:.6g}") for head, weight in best.weights.items()],
        )
        client.log_artifact(parent, str(page))
        client.set_terminated(parent)
    return str(parent)
