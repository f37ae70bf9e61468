"""Make a candidate and judge it, or take up one whose run was cut short after its verdict. Order only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from expectations.data.suspects import Suspects
from expectations.gates.champion import without_repeats
from expectations.verdict import Verdict
from flows.baselines import fit_baselines, package_baselines
from flows.label_check import search_labels
from flows.parts.graph import part, step
from flows.parts.measure import Answered, answer, measure
from flows.project import OpenProject
from flows.teachers import teachers
from model.references import BundleRef, Measured, Run
from release.champion import ChampionRef
from release.home import Home
from release.keys import signing_pair
from release.moves.judge_again import Judgeable
from release.registry.candidate import INPUTS_EVIDENCE
from release.registry.register import RegisteredVersion
from release.runs.judged import JudgedInputs, find_judged, relative_measured, with_pages
from release.runs.standing import Standing, take_up
from release.saved_settings import Settings
from release.spec import RegistrySpec
from report.quality.pages import Quality
from tasks.judge.decide import decide
from tasks.judge.keep_evidence import keep_evidence
from tasks.judge.keep_judged import keep_judged
from tasks.train.fit_shared import fit_shared


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCandidate:
    """A candidate with all that its verdict rests on."""

    run: Run
    """The run that made it."""
    dataset: Path
    """Dataset folder."""
    bundles: Mapping[str, BundleRef]
    measured: Measured
    verdict: Verdict
    pages: Mapping[str, str]
    """Title → page on the data."""
    remarks: tuple[str, ...]
    """Of the data."""
    record: JudgedInputs
    """What is kept of it for runs with equal inputs."""
    suspects: Suspects | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A candidate that was trained and packaged, and has answered the test rows."""

    bundles: Mapping[str, BundleRef]
    answered: Answered
    suspects: Suspects | None


def make_candidate(
    opened: OpenProject,
    run: Run,
    *,
    champion: ChampionRef | None,
    dataset: Path,
    fresh: bool,
    after: Sequence[object] = (),
) -> Made:
    """Train, package and answer the test rows.

    Args:
        dataset: its folder.
        fresh: train the shared model even where it is kept, and baselines that were fitted without some rows.
        after: results that it comes after.
    """
    project = opened.project
    seeds = part("baselines", lambda: fit_baselines(project, run, fresh=fresh), after)
    baselines = {head: fitted[0] for head, fitted in seeds.items()}
    suspects = search_labels(project, dataset, run, baselines, after=[seeds])
    taught = teachers(project, run, baselines, after=[seeds])
    shared = step(fit_shared, [taught or seeds])(run, taught, project.package, fresh=fresh)
    packaged = part("package baselines", lambda: package_baselines(seeds, run, shared.precision), [shared])
    bundles = {"shared": shared, **packaged}
    if champion is not None:
        bundles["champion"] = champion.bundle
    answered = part("answer", lambda: answer(run, bundles, project.gates), [packaged])
    return Made(bundles=bundles, answered=answered, suspects=suspects)


def judge_candidate(
    opened: OpenProject,
    run: Run,
    quality: Quality,
    standing: Standing,
    made: Made,
    *,
    champion: ChampionRef | None,
    dataset: Path,
) -> JudgedCandidate:
    """Time and judge a candidate.

    Args:
        standing: of the run's inputs.
        dataset: its folder.
    """
    project, state, bundles = opened.project, opened.home, made.bundles
    measured = part(
        "measure",
        lambda: measure(run, bundles, project.gates, project.deploy, made.answered),
        [made.answered],
    )
    settings = Settings(registry=project.registry, deploy=project.deploy)
    step(keep_evidence, [measured])(state, run, bundles, settings, dataset=dataset, pages=quality.pages)
    verdict = step(decide, [measured])(run.heads, measured, project.gates, champion=champion, dataset=dataset)
    remarks = without_repeats(quality.warnings, verdict)
    record = JudgedInputs(
        name=project.name,
        inputs=standing.inputs.digest,
        parts={part: dict(names) for part, names in standing.inputs.parts.items()},
        against="" if champion is None else champion.bundle.sha256,
        run=run.id,
        dataset=dataset.name,
        scored_bundles={label: scores.bundle_sha256 for label, scores in measured.scores.items()},
        measured=relative_measured(measured, state.root),
        verdict=verdict.to_json(),
        remarks=list(remarks),
    )
    step(keep_judged, [verdict])(state, project.name, project.registry, record)
    return JudgedCandidate(
        run=run,
        dataset=dataset,
        bundles=bundles,
        measured=measured,
        verdict=verdict,
        pages=quality.pages,
        remarks=remarks,
        record=record,
        suspects=made.suspects,
    )


def taken_up(opened: OpenProject, standing: Standing, champion: ChampionRef | None) -> JudgedCandidate | None:
    """The candidate of an earlier run with these inputs, which was judged and went no further; None where
    there is none, or some of it is gone."""
    record = standing.record
    if standing.kind != "unfinished" or record is None:
        return None
    found = take_up(opened.home, record)
    if found is None:
        return None
    bundles = dict(found.kept.bundles)
    if champion is not None:
        bundles["champion"] = champion.bundle
    return JudgedCandidate(
        run=found.kept.run,
        dataset=found.kept.dataset,
        bundles=bundles,
        measured=found.measured,
        verdict=found.verdict,
        pages=found.kept.pages,
        remarks=found.remarks,
        record=record,
    )


def note_version(opened: OpenProject, judged: JudgedCandidate, registered: RegisteredVersion) -> JudgedInputs:
    """Keep the version that a candidate was registered as."""
    record = replace(
        judged.record,
        version=registered.version,
        mlflow_run=registered.run_id,
        mlflow_experiment=registered.experiment,
    )
    step(keep_judged, [registered])(opened.home, opened.project.name, opened.project.registry, record)
    return record


def rejudged(
    home: Home,
    registry: RegistrySpec,
    found: Judgeable,
    *,
    champion: ChampionRef | None,
    measured: Measured,
    verdict: Verdict,
) -> JudgedInputs | None:
    """What is kept of a version's inputs, with what judging it again came to; None where nothing is, or
    another version was made of them since."""
    name, inputs = found.run.name, str(found.run.provenance.get(INPUTS_EVIDENCE, ""))
    record = find_judged(home, name, inputs, signing_pair(home, name, registry)[1]) if inputs else None
    if record is None or record.version != found.registered.version:
        return None
    return replace(
        record,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        against="" if champion is None else champion.bundle.sha256,
        scored_bundles={label: scores.bundle_sha256 for label, scores in measured.scores.items()},
        measured=relative_measured(measured, home.root),
        verdict=verdict.to_json(),
    )


def note_pages(home: Home, registry: RegistrySpec, record: JudgedInputs, pages: Mapping[str, str]) -> None:
    """Keep the pages of a candidate, which runs with equal inputs show again."""
    step(keep_judged)(home, record.name, registry, with_pages(record, home, pages))
