"""The models of a run as MLflow's LoggedModels: figures on each head's test rows, parameters, a run each.

The baselines' files are not kept in the registry: what is compared with a candidate is never served. Their
record says so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from model.jobs.fit import course_of
from release.registry.candidate import TrainedModel
from release.registry.run import allowed_name, flat
from release.registry.tracking.course import log_points, metrics_of, open_child
from release.registry.tracking.flow_run import Tracked

if TYPE_CHECKING:
    from mlflow.entities import Dataset, Metric

VERSIONS_TAG = "mlflow.modelVersions"
"""Tag of a LoggedModel by which its page knows the versions that were registered of it."""
FILES_TAG = "headgate.files"
"""Tag of a baseline's LoggedModel: where its files are."""
NOT_KEPT = "in the state folder only; a baseline is measured, never served"


def track_models(
    client: Any,
    tracked: Tracked,
    models: Sequence[TrainedModel],
    params: Mapping[str, Any],
    dataset: Dataset | None,
) -> None:
    """A child run for each model, with its whole course, and of each baseline a LoggedModel. What was sent
    while the training went on stays as it is."""
    from mlflow.entities import Param

    for one in models:
        run_id = open_child(client, tracked, one.label)
        log_points(client, run_id, metrics_of(course_of(one.fitted)))
        known = flat({**params, **one.params})
        client.log_batch(run_id, params=[Param(allowed_name(k), str(v)[:500]) for k, v in known][:100])
        if one.label == "shared":
            log_points(client, run_id, figures_on(dataset, one.metrics, run_id))
        else:
            _log_baseline(client, tracked, run_id, one, dict(known), dataset)
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_terminated(run_id, "FINISHED")


def _log_baseline(
    client: Any,
    tracked: Tracked,
    run_id: str,
    one: TrainedModel,
    params: Mapping[str, Any],
    dataset: Dataset | None,
) -> None:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    if client.search_logged_models([tracked.experiment], f"source_run_id = '{run_id}'", max_results=1):
        return
    made = client.create_logged_model(
        tracked.experiment,
        name=one.label.replace(":", "-"),
        source_run_id=run_id,
        tags={FILES_TAG: NOT_KEPT},
        params=model_params(params),
        model_type="headgate-baseline",
    )
    client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
    log_points(client, run_id, figures_on(dataset, one.metrics, run_id, made.model_id))


def figures_on(
    dataset: Dataset | None, figures: Mapping[str, float], run_id: str, model_id: str | None = None
) -> list[Metric]:
    """MLflow's points of figures that were measured on a split, so that models are ranked by them."""
    from mlflow.entities import Metric

    about = {} if dataset is None else {"dataset_name": dataset.name, "dataset_digest": dataset.digest}
    now_ms = int(time.time() * 1000)
    return [
        Metric(allowed_name(name), float(value), now_ms, 0, model_id=model_id, run_id=run_id, **about)
        for name, value in figures.items()
        if math.isfinite(value)
    ]


def model_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as a LoggedModel takes them."""
    return {allowed_name(key): str(value)[:500] for key, value in flat(params)[:100]}
