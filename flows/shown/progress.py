"""How far a long step is, as a progress artifact beside its task in Prefect's interface."""

from __future__ import annotations

import contextlib
import time
from uuid import UUID

from report.progress import watchers

EVERY_S = 5.0
"""Seconds between two updates; a step that is over earlier has no artifact."""


class PrefectProgress:
    """Writes the progress of this process's steps."""

    def __init__(self) -> None:
        self._shown: dict[UUID, tuple[float, UUID | None]] = {}

    def __call__(self, title: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` is done in the running task; never fails it."""
        from prefect.context import TaskRunContext

        context = TaskRunContext.get()
        if context is None or not total:
            return
        task, now_s = context.task_run.id, time.monotonic()
        last_s, artifact = self._shown.setdefault(task, (now_s, None))
        if now_s - last_s < EVERY_S:
            return
        with contextlib.suppress(Exception):  # Prefect's client raises many kinds; the step matters more
            self._shown[task] = (now_s, self._write(artifact, title, min(100.0, 100.0 * done / total)))

    @staticmethod
    def _write(artifact: UUID | None, title: str, percent: float) -> UUID:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if artifact is None:
            made = create_progress_artifact(progress=percent, description=title)
            return made if isinstance(made, UUID) else UUID(str(made))
        update_progress_artifact(artifact, progress=percent)
        return artifact


def show_progress() -> None:
    """Let this process's steps show how far they are; calling it again changes nothing."""
    if not any(isinstance(one, PrefectProgress) for one in watchers):
        watchers.append(PrefectProgress())
