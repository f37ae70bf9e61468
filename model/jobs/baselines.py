"""Baselines: one single-head model a head, kept by content, with the logits that it gives.

Each training is a process of its own. Does not know how training works (`model.train`).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..cache import Cache, CacheEntry
from ..code import code_digest, training_code
from ..digest import digest
from ..errors import HeadgateError
from ..events import OnEvent, ignore_event
from ..faults import fault
from ..files import read_json
from ..measure.unseen import learned_rows, most_unseen, unseen_shares, write_seen
from ..references import BundleRef, FittedRef, Run
from ..spec import FitJob, HeadSpec, PackageSpec, SplitName, TrainSpec
from .fit import fit_job
from .package import Packaging, describe_bundle, graphs_folder, package_bundle
from .process import at_most, run_model
from .progress import Progress


class OtherCode(HeadgateError):
    """A worker of a cluster has another version of this program than the flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineJob:
    """One single-head model to be fitted."""

    name: str
    """Its head."""
    rows: Path
    """Rows folder that it is fitted on."""
    fingerprint: str
    """Stands for the rows of the head there."""
    part: str = ""
    """Shown with its name where it is not the only one, such as `fold 2 of 3`."""
    seed: int | None = None
    """Seed of its training; none: the recipe's."""
    label: str = ""
    """What it is called in the evidence; empty for one that is no part of it, such as that of a fold."""
    threads: int | None = None
    """CPU threads of its training where the recipe says none; none: all cores. The checkpoint of a training
    with other threads is taken up, too."""
    code: str = ""
    """Digest of `model` where the job was made: it may be done on another machine. Empty: not checked."""
    longest_s: float | None = None
    """Longest time of its training, in seconds, where it is not limited by whoever waits for it."""
    new_rows: float = 0.0
    """Share of its rows that an earlier one may lack to be taken in its place."""

    @property
    def title(self) -> str:
        """What is shown while it is fitted."""
        return " ".join(filter(None, ("baseline", self.name, self.part)))


def baseline_key(name: str, head: HeadSpec, fingerprint: str, run: Run, seed: int | None = None) -> str:
    """Everything that a baseline depends on, as one digest; its head's name stands in what it writes.

    The head's loss weight is left out: alone, a weight only scales the learning rate of AdamW, which
    is invariant to it. Distillation is left out too: baselines have no teachers.
    """
    return digest("baseline", fingerprint, _line(name, head, run, seed))


def _line(name: str, head: HeadSpec, run: Run, seed: int | None) -> str:
    """Everything that a baseline depends on but its rows, as one digest."""
    recipe, alone = without_teachers(run.train, seed), replace(head, weight=1.0)
    encoder = (replace(run.backbone, revision=None), run.encoder_sha256)  # the digest says which revision
    return digest(name, alone, encoder, recipe, training_code())


def without_teachers(train: TrainSpec, seed: int | None = None) -> TrainSpec:
    """The recipe of a baseline, which does not depend on who teaches the shared model, nor how; with another
    seed where one is given."""
    return replace(
        train,
        seed=train.seed if seed is None else seed,
        distillation=0.0,
        distillation_final=0.0,
        distillation_mixing=0.0,
        distillation_temperature=1.0,
        distillation_teachers="in_sample",
        distillation_folds=2,
    )


def baseline_entry(job: BaselineJob, run: Run) -> CacheEntry:
    """Where the baseline of a job is kept."""
    return Cache(run.cache).entry(
        "baselines", baseline_key(job.name, run.heads[job.name], job.fingerprint, run, job.seed)
    )


def earlier_baseline(job: BaselineJob, run: Run) -> FittedRef | None:
    """A baseline that differs in nothing but that it was fitted without some of the rows, and at most
    `job.new_rows` of them; of several the one that lacks least. None where there is no such, or the job's own
    is there.

    Raises:
        model.errors.BadInput: the rows folder is not one that holds the head.
    """
    for entry, shares in _earlier(job, run):
        if entry.take():
            return FittedRef(folder=str(entry.folder), seconds=_seconds(entry), cached=True, unseen=shares)
    return None


def _earlier(job: BaselineJob, run: Run) -> list[tuple[CacheEntry, Mapping[str, float]]]:
    """Entries that may be taken in the job's place and the shares that they lack, the least first."""
    if job.new_rows == 0 or baseline_entry(job, run).complete:
        return []
    head, files = run.heads[job.name], [*(run.cache / "baselines").glob(f"*/{_seen_file(job, run)}")]
    if not files:
        return []
    rows = learned_rows(job.rows, job.name, head)
    found = [(file, shares) for file in files if (shares := unseen_shares(file, rows, head)) is not None]
    lacking = [(most_unseen(shares, rows, head), CacheEntry(file.parent), shares) for file, shares in found]
    within = sorted((one for one in lacking if one[0] <= job.new_rows), key=lambda one: one[0])
    return [(entry, shares) for _, entry, shares in within if entry.complete]


def is_kept(job: BaselineJob, run: Run) -> bool:
    """Whether nothing has to be trained for a job, as far as is seen without looking at every byte."""
    return baseline_entry(job, run).complete or bool(_earlier(job, run))


def _seen_file(job: BaselineJob, run: Run) -> str:
    return f"{_line(job.name, run.heads[job.name], run, job.seed)[:32]}.seen.npz"


def _seconds(entry: CacheEntry) -> float:
    return float(read_json(entry.folder / "fitted" / "fit.json")["seconds"])


def bundle_entry(baseline: FittedRef, precision: str) -> CacheEntry:
    """Where a baseline's bundle of a precision is kept: in the baseline's folder."""
    return Cache(Path(baseline.folder)).entry("bundles", precision)


def teacher_entry(baseline: FittedRef, rows: Path, run: Run, split: SplitName) -> CacheEntry:
    """Where a baseline's logits for the rows of a split are kept."""
    key = digest("teacher", Path(baseline.folder).name, split_sha256(rows, split), code_digest())
    return Cache(run.cache).entry("teachers", key)


def fit_baseline(
    job: BaselineJob, run: Run, progress: Progress, on_event: OnEvent = ignore_event
) -> FittedRef:
    """A single-head model with the recipe of the run, found in the cache or trained into it; or an earlier
    one, where `job.new_rows` allows it.

    Args:
        on_event: told of what happens in the training.

    Raises:
        OtherCode: this process has another `model`, and would keep its work under the wrong key.
        model.jobs.process.ModelProcessError: the training ended badly.
    """
    if job.code and job.code != code_digest():
        raise OtherCode(
            f"baseline {job.name}: `model` on {socket.gethostname()} has the digest {code_digest()[:12]}, "
            f"that of the flow {job.code[:12]}; install one version of Headgate on all workers of the cluster"
        )
    if earlier := earlier_baseline(job, run):
        progress.outcome = f"kept, fitted without {min(earlier.unseen.values()):.1%} of its rows"
        return earlier
    entry = baseline_entry(job, run)
    cached = True
    with entry.making(resume=True) as folder:
        if folder is not None:
            cached = False
            recipe = without_teachers(run.train, job.seed)
            fit = FitJob(
                heads={job.name: replace(run.heads[job.name], weight=1.0)},
                backbone=run.backbone,
                train=replace(recipe, threads=recipe.threads or job.threads),
                rows=str(job.rows),
                out=str(folder / "fitted"),
                labelled_only=True,
                encoder_sha256=run.encoder_sha256,
            )
            log = f"fit-{job.name}.log" if job.seed is None else f"fit-{job.name}-seed-{job.seed}.log"
            with contextlib.nullcontext() if job.longest_s is None else at_most(job.longest_s):
                fit_job(fit, run.logs / log, progress, on_event)
            rows = learned_rows(job.rows, job.name, run.heads[job.name])
            write_seen(rows, folder / _seen_file(job, run))
        else:
            progress.outcome = "cached"
    return FittedRef(folder=str(entry.folder), seconds=_seconds(entry), cached=cached)


def package_baseline(
    name: str, baseline: FittedRef, run: Run, precision: str, progress: Progress
) -> BundleRef:
    """The baseline as a bundle of the shared model's precision, from the cache where it has one: it is timed
    for all of its architecture (decision 60)."""
    entry = bundle_entry(baseline, precision)
    fitted = Path(baseline.folder) / "fitted"
    with entry.making() as folder:
        if folder is not None:
            job = Packaging(
                fitted=fitted,
                out=folder / "bundle",
                name=f"baseline-{name}",
                rows=None,
                graphs=graphs_folder(run),
                provenance={**run.provenance, "role": "baseline", "cache_key": Path(baseline.folder).name},
                log=run.logs / f"package-{name}.log",
                # Whatever int8 costs the baseline, it is compared in the shared model's precision.
                spec=PackageSpec(precision=precision, int8_tolerance=1.0),  # type: ignore[arg-type]
            )
            package_bundle(job, progress)
        else:
            progress.outcome = "cached"
    fault("baseline_packaged")
    return replace(describe_bundle(entry.folder / "bundle", fitted), cached=baseline.cached)


def answer_rows(
    name: str, baseline: FittedRef, rows: Path, run: Run, progress: Progress, split: SplitName = "train"
) -> str:
    """The baseline's logits for every row of a split, labelled there or not: path of the `.npy` file."""
    entry = teacher_entry(baseline, rows, run, split)
    with entry.making() as folder:
        if folder is not None:
            done = run_model(
                [
                    *("teach", str(Path(baseline.folder) / "fitted"), str(rows)),
                    *("--split", split, "--out", str(folder)),
                ],
                log=run.logs / f"teach-{name}.log",
                on_event=lambda event: (
                    progress.to(event.get("done", 0), event.get("total"))
                    if event["event"] == "taught"
                    else None
                ),
            )
            fault("teacher_written")
            progress.outcome = f"{done.get('rows', 0):,} rows"
        else:
            progress.outcome = "cached"
    fault("teacher_made")
    return str(entry.folder / f"{name}.npy")


def split_sha256(rows: Path, split: SplitName) -> str:
    """Digest of a split's texts in their order."""
    return digest(read_json(rows / "rows.json")["digest"][split])
