"""The pages of a run in MLflow: the whole folder, below `report/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from release.registry.tracking.flow_run import Tracked

REPORT = "report"
"""Artifact folder of the pages."""


def folder_of(pages: Sequence[Path]) -> Path | None:
    """The folder that all pages of a run lie in; None where there are none."""
    found = [page if page.is_dir() else page.parent for page in pages if page.exists()]
    return min(found, key=lambda folder: len(folder.parts)) if found else None


def log_pages(client: Any, run_id: str, pages: Path) -> None:
    """Keep a page, or a folder of pages, with a run."""
    (client.log_artifacts if pages.is_dir() else client.log_artifact)(run_id, str(pages), REPORT)


def log_report(tracked: Tracked, pages: Sequence[Path]) -> bool:
    """Keep the pages of a flow that registered nothing; whether the registry took them."""
    from mlflow.exceptions import MlflowException

    folder = folder_of(pages)
    if folder is None:
        return False
    try:
        log_pages(tracked.client, tracked.run, folder)
    except (MlflowException, OSError):
        return False
    return True
