"""Draw the trade-off of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.references import SweepPoint
from report import sweep
from report.progress import Step


@task(name="sweep-page", task_run_name="sweep-page", cache_policy=NO_CACHE)
def write_sweep_page(
    name: str, points: Sequence[SweepPoint], metrics: Mapping[str, str], *, out: Path
) -> tuple[int, Path]:
    """Number of the chosen point (from 0) and the page of project `name`, written to `out`.

    Args:
        metrics: head → name of its primary metric.

    Raises:
        OSError: the page can't be written.
    """
    with Step("draw the front") as step:
        chosen, front = sweep.write_sweep_page(name, points, metrics, out=out)
        step.outcome = f"{front} of {len(points)} points on the front, point {chosen + 1} chosen"
    return chosen, out
