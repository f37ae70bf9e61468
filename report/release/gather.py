"""Write the release report: gather its plain data from the files of a run and render it.

Does not know how the page looks (`report.release.page`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from expectations.data.suspects import Suspects
from expectations.gates.scores import load_scores
from expectations.gates.timings import timings_from_json
from expectations.verdict import Verdict
from model.files import read_json, write_bytes
from model.references import BundleRef, Measured, Run
from report.changes import CHANGES_FILE, table_from_json
from report.charts.files import write_charts
from report.one_page import ONE_PAGE, one_page
from report.page import add_link
from report.quality.pages import QUALITY
from report.release.became import Release
from report.suspects import suspects_section

REPORT_FILE = "release.html"
"""Name of the release page in the folder of a run's reports."""


def write_report(
    run: Run,
    bundles: Mapping[str, BundleRef],
    measured: Measured,
    verdict: Verdict,
    release: Release,
    *,
    quality_pages: Mapping[str, str],
    suspects: Suspects | None = None,
) -> dict[str, str]:
    """Write the report into the run's folder of reports; title → file of every page of the run.

    Args:
        bundles: `shared`, `baseline:<head>` and, where there is one, `champion`.
        quality_pages: title → file of the pages on the data.
        suspects: labels that look wrong; none where they were not searched for.

    Raises:
        OSError: a file of the run is missing, or the page can't be written.
    """
    from report.release.page import ReleaseReport, render_release  # late: loads matplotlib

    pages = dict(quality_pages) | ({} if suspects is None else {"Suspicious labels": suspects.csv})
    fitted = {label: Path(bundle.fitted) for label, bundle in bundles.items() if bundle.fitted}
    report = ReleaseReport(
        name=run.name,
        run=run.id,
        created=str(run.provenance["created"]),
        verdict=verdict,
        heads=run.heads,
        shared=load_scores(Path(measured.scores["shared"].path), run.heads),
        baselines={
            head: load_scores(Path(measured.scores[f"baseline:{head}"].path), {head: spec})[head]
            for head, spec in run.heads.items()
        },
        histories={label: read_json(folder / "history.json") for label, folder in fitted.items()},
        calibrations=read_json(fitted["shared"] / "calibration.json"),
        bundles={
            label: {key: getattr(bundle, key) for key in ("precision", "bytes", "fit_seconds", "cached")}
            | ({"unseen": max(bundle.unseen.values())} if bundle.unseen else {})
            for label, bundle in bundles.items()
        },
        timings=timings_from_json(read_json(Path(measured.timing.path))),
        profile=read_json(run.profile),
        chances=read_json(chances) if (chances := run.folder / "chances.json").is_file() else (),
        changed=table_from_json(read_json(changed))
        if (changed := run.folder / CHANGES_FILE).is_file()
        else None,
        provenance=run.provenance,
        **{one.name: getattr(release, one.name) for one in fields(Release)},
        pages={title: os.path.relpath(path, run.reports) for title, path in pages.items()},
        suspects=None if suspects is None else suspects_section(suspects),
    )
    page, rendered = run.reports / REPORT_FILE, render_release(report)
    write_bytes(page, rendered.encode())
    write_charts(rendered, run.reports)
    quality = Path(quality_pages.get(QUALITY, ""))
    if quality.is_file():
        add_link(quality, "Report", os.path.relpath(page, quality.parent))
    if (whole := one_page(run.reports, REPORT_FILE)) is not None:
        write_bytes(run.reports / ONE_PAGE, whole.encode())
    return {"Report": str(page), **pages}
