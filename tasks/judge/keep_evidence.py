"""Keep what judging a candidate again needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.references import BundleRef, Run
from release import kept_evidence
from release.home import Home
from release.saved_settings import Settings, save_first_settings


@task(name="keep-evidence", task_run_name="keep-evidence", cache_policy=NO_CACHE)
def keep_evidence(
    home: Home,
    run: Run,
    bundles: Mapping[str, BundleRef],
    settings: Settings,
    *,
    dataset: Path,
    pages: Mapping[str, str],
) -> None:
    """Leave beside the evidence of a run what `headgate judge` needs, and, where the project was never
    deployed, how it would be.

    Args:
        settings: where the project is registered and how it serves.
        dataset: its folder.
        pages: title → file of the pages on the data.
    """
    kept_evidence.keep_evidence(
        kept_evidence.KeptEvidence(run=run, dataset=dataset, bundles=bundles, pages=pages)
    )
    save_first_settings(home, run.name, settings)
