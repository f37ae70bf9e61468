"""Write the release report of a run."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.data.suspects import Suspects
from expectations.verdict import Verdict
from model.references import BundleRef, Measured, Run
from report.progress import Step
from report.release import gather
from report.release.became import Release
from report.verdict_table import verdict_rows


@task(name="report", task_run_name="report", cache_policy=NO_CACHE)
def write_report(
    run: Run,
    bundles: Mapping[str, BundleRef],
    measured: Measured,
    verdict: Verdict,
    release: Release,
    *,
    quality_pages: Mapping[str, str],
    suspects: Suspects | None = None,
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Pages of the run (title → file) and the rows of the verdict table; arguments as for
    `report.release.gather.write_report`.

    Raises:
        OSError: a file of the run is missing, or the page can't be written.
    """
    with Step("report"):
        pages = gather.write_report(
            run, bundles, measured, verdict, release, quality_pages=quality_pages, suspects=suspects
        )
    return pages, verdict_rows(verdict)
