"""Write the release report: gather its plain data from the files of a run and render it.

Does not know how the page looks (`report.release.page`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.data.suspects import Suspects
from expectations.gates.scores import load_scores
from expectations.gates.timings import timings_from_json
from expectations.verdict import Verdict
from model.files import write_bytes
from model.references import BundleRef, Measured, Run
from release.champion import ChampionRef
from release.registry.register import RegisteredVersion
from release.targets.deploy import DeployOutcome
from report.progress import Step
from report.quality.pages import Quality
from report.release.page import ReleaseReport, render_release
from report.suspects import suspects_section
from report.verdict_table import verdict_rows


@task(name="report", cache_policy=NO_CACHE)
def write_report(
    run: Run,
    quality: Quality,
    bundles: Mapping[str, BundleRef],
    measured: Measured,
    verdict: Verdict,
    registered: RegisteredVersion,
    deployed: DeployOutcome | None,
    *,
    champion: ChampionRef | None,
    suspects: Suspects | None = None,
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Pages of the run (title → file) and the rows of the verdict table."""
    with Step("report"):
        fitted = Path(bundles["shared"].fitted)
        page = run.reports / "release.html"
        pages = dict(quality.pages) | ({} if suspects is None else {"Suspicious labels": suspects.csv})
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
            histories={
                label: _json(Path(bundle.fitted) / "history.json")
                for label, bundle in bundles.items()
                if bundle.fitted
            },
            calibrations=_json(fitted / "calibration.json"),
            bundles={label: _facts(bundle) for label, bundle in bundles.items()},
            timings=timings_from_json(_json(Path(measured.timing.path))),
            profile=_json(run.profile),
            provenance=run.provenance,
            registered=registered.facts,
            deployed=_deployed(deployed),
            champion=" ".join((f"version {champion.version}", champion.override)).strip() if champion else "",
            pages={title: os.path.relpath(path, run.reports) for title, path in pages.items()},
            suspects=None if suspects is None else suspects_section(suspects),
        )
        write_bytes(page, render_release(report).encode("utf-8"))
    return {"Report": str(page), **pages}, [dict(row) for row in verdict_rows(verdict)]


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _facts(bundle: BundleRef) -> dict[str, Any]:
    return {
        "precision": bundle.precision,
        "bytes": bundle.bytes,
        "fit_seconds": bundle.fit_seconds,
        "cached": bundle.cached,
    }


def _deployed(outcome: DeployOutcome | None) -> dict[str, Any]:
    if outcome is None or not outcome.deployed:
        return {}
    return {"version": outcome.serving, "url": outcome.url}
