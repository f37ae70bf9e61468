"""Write the release report: gather its plain data from the files of a run and render it.

Does not know how the page looks (`report.release.page`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expectations.data.suspects import Suspects
from expectations.gates.scores import load_scores
from expectations.gates.timings import timings_from_json
from expectations.verdict import Verdict
from model.files import read_json, write_bytes
from model.references import BundleRef, Measured, Run
from report.changes import CHANGES_FILE, table_from_json
from report.page import add_link
from report.quality.pages import QUALITY
from report.suspects import suspects_section

REPORT_FILE = "release.html"
"""Name of the release page in the folder of a run's reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What became of the version, in plain values."""

    registered: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `run_id`, …; empty when nothing was registered."""
    deployed: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `url`; empty when nothing was deployed."""
    champion: str = ""
    """What served when it was judged, such as `version 6`; empty when nothing did."""
    besides: Sequence[str] = ()
    """Sentences on what changed beside the data since what served: configuration, code, dependencies."""
    undone: str = ""
    """Why its deployment was taken back; empty where it was not."""
    held: str = ""
    """Why it was not promoted although it passed; empty where it was."""
    unconfirmed: str = ""
    """Why it is not known whether it answers as judged; empty where it is."""
    watched: str = ""
    """What was seen of a version that serves while it was watched; empty where it was not."""
    taken_back: str = ""
    """Why it was taken back while it was watched; empty where it was not."""


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
            for label, bundle in bundles.items()
        },
        timings=timings_from_json(read_json(Path(measured.timing.path))),
        profile=read_json(run.profile),
        chances=read_json(chances) if (chances := run.folder / "chances.json").is_file() else (),
        changed=table_from_json(read_json(changed))
        if (changed := run.folder / CHANGES_FILE).is_file()
        else None,
        provenance=run.provenance,
        registered=release.registered,
        deployed=release.deployed,
        champion=release.champion,
        besides=release.besides,
        undone=release.undone,
        held=release.held,
        unconfirmed=release.unconfirmed,
        watched=release.watched,
        taken_back=release.taken_back,
        pages={title: os.path.relpath(path, run.reports) for title, path in pages.items()},
        suspects=None if suspects is None else suspects_section(suspects),
    )
    page = run.reports / REPORT_FILE
    write_bytes(page, render_release(report).encode())
    quality = Path(quality_pages.get(QUALITY, ""))
    if quality.is_file():
        add_link(quality, "Report", os.path.relpath(page, quality.parent))
    return {"Report": str(page), **pages}
