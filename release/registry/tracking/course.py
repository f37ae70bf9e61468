"""The course of one training in MLflow, while it goes on: a child run with losses, rates and metrics by step.

Points are sent in batches by a thread of their own: a slow registry slows no training. With one that is away
they come when the version is registered: the whole course is sent then (`models.track_models`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from model.events import OnEvent, ignore_event
from release.registry.run import process_tags
from release.registry.tracking.flow_run import Tracked

if TYPE_CHECKING:
    from mlflow.entities import Metric

FLUSH_S = 2.0
"""Seconds between two batches."""
BATCH = 500
"""Most points of a batch; MLflow takes 1,000."""
PARENT_TAG = "mlflow.parentRunId"
"""Tag by which MLflow's interface folds child runs under their parent."""
MODEL_TAG = "headgate.model"
"""Tag of a child run: `shared` or `baseline:HEAD`, as in the evidence; of a sweep `point:NUMBER`."""


def child_title(label: str) -> str:
    """Name of a model's run: `shared model`, `baseline intent`, `baseline intent, seed 2`, `point 3`."""
    if label == "shared":
        return "shared model"
    kind, head, *number = label.split(":")
    if kind == "point":
        return f"point {head}"
    return f"baseline {head}" + (f", seed {number[0]}" if number else "")


def points_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Metric → value of a progress event of a training."""
    if event["event"] == "step":
        found = {"train/loss": event["loss"], "train/rows_per_s": event.get("rows_per_s")}
        found |= {"train/learning_rate": event.get("learning_rate")}
        found |= {f"train/loss/{head}": loss for head, loss in event.get("heads", {}).items()}
    elif event["event"] == "epoch":
        found = {f"validation/{head}": value for head, value in event["metrics"].items()}
        found |= {"validation/mean": event["mean"]}
    else:
        found = {}
    return {name: float(value) for name, value in found.items() if value is not None}


def metrics_of(events: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """MLflow's points of a course, at the time when each was measured."""
    from mlflow.entities import Metric

    return [
        Metric(name, value, int(event["at"] * 1000), int(event["step"]))
        for event in events
        for name, value in points_of(event).items()
    ]


def open_child(client: Any, tracked: Tracked, label: str) -> str:
    """Id of the run of one model below the flow's run: the one that is there, or a new one."""
    wanted = f"tags.`{PARENT_TAG}` = '{tracked.run}' and tags.`{MODEL_TAG}` = '{label}'"
    for found in client.search_runs([tracked.experiment], wanted, max_results=1):
        return str(found.info.run_id)
    tags = {PARENT_TAG: tracked.run, MODEL_TAG: label, **process_tags()}
    made = client.create_run(tracked.experiment, run_name=child_title(label), tags=tags)
    return str(made.info.run_id)


def log_points(client: Any, run_id: str, points: Sequence[Metric]) -> None:
    """Send points; those that are there already stay as they are."""
    for begin in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=points[begin : begin + BATCH])


@contextmanager
def course(tracked: Tracked | None, label: str) -> Iterator[OnEvent]:
    """Takes the events of the training of the model `label`, whose run ends as the block ends."""
    if tracked is None:
        yield ignore_event
        return
    writer = _Writer(tracked, label)
    try:
        yield writer.take
    except BaseException as error:
        writer.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    writer.end("FINISHED")


class _Writer:
    """Sends events in batches. Nothing is sent, and no run opened, before the first event: a model that the
    cache has is not trained."""

    def __init__(self, tracked: Tracked, label: str) -> None:
        self._tracked, self._label = tracked, label
        self._waiting: list[Mapping[str, Any]] = []
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._run = ""
        self._away = False
        self._client: Any = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Note one event; never waits for the registry."""
        with self._lock:
            self._waiting.append(event)
        if self._thread is None:
            self._thread = threading.Thread(target=self._send, name=f"mlflow {self._label}", daemon=True)
            self._thread.start()

    def end(self, status: str) -> None:
        """Send what waits, and end the run."""
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        if not self._away:
            self._try(lambda: self._client.set_terminated(self._run, status))

    def _send(self) -> None:
        self._try(self._open)
        while not self._away:
            ended = self._ended.wait(FLUSH_S)
            with self._lock:
                events, self._waiting = self._waiting, []
            self._try(lambda points=events: log_points(self._client, self._run, metrics_of(points)))
            if ended:
                return

    def _open(self) -> None:
        self._client = self._tracked.client
        self._run = open_child(self._client, self._tracked, self._label)

    def _try(self, work: Any) -> None:
        try:
            work()
        except Exception:  # whatever a store raises, the training goes on; its events are kept with the model
            self._away = True
