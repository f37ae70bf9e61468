"""Score models on the test split: what ships in a fresh process that loaded nothing but the bundle;
baselines, which do not ship, by their fitted folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..bundle.card import PROFILES, Precision
from ..cache import Cache
from ..code import code_digest
from ..digest import digest
from ..files import FileChanged, file_sha256
from ..references import BundleRef, Run, ScoresRef
from ..spec import ComputeChoice
from .process import run_model
from .progress import Progress

SCORES = "scores.npz"


def score(label: str, bundle: BundleRef, run: Run, threads: int, progress: Progress) -> ScoresRef:
    """The model's answers on the test split: the bundle's, or of a baseline those of what it was fitted to,
    more exactly than the shared model's bundle, or as exactly (decision 60).

    A baseline is scored once for these rows and this code; it is scored again where the cached file is no
    longer what was written.

    Args:
        label: `shared`, `champion`, `baseline:<head>`, or `baseline:<head>:<number>` from 2 on.

    Raises:
        model.files.FileChanged: the bundle that was scored is not the one that is referred to.
        model.jobs.process.ModelProcessError: the bundle can't be loaded or scored.
    """
    if not label.startswith("baseline:"):
        target = run.folder / "evidence" / f"{label}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        return _score(label, bundle, target, run, threads, progress)
    # bfloat16, where the processor multiplies it, is nearer to float32 than 8-bit weights are: the error of
    # logits was 0.003 and 0.012 of their standard deviation.
    exact: ComputeChoice = (
        "float32" if PROFILES[cast(Precision, bundle.precision)].weights == "float32" else "auto"
    )
    made_of = (Path(bundle.fitted).parent.name, exact, test_rows(run.rows, bundle.heads))
    key = digest("answers", *made_of, code_digest())

    entry = Cache(run.cache).entry("scores", key)
    with entry.making() as folder:
        if folder is not None:
            arguments = ["answer", bundle.fitted, str(run.rows), "--split", "test", "--precision", exact]
            done = run_model(
                [*arguments, "--out", str(folder / SCORES)],
                log=_log(run, label),
                on_event=_following(progress),
            )
            progress.outcome = f"{done.get('rows', 0):,} rows"
        else:
            progress.outcome = "cached"
    return ScoresRef(
        path=str(entry.folder / SCORES),
        sha256=entry.sha256(SCORES),
        bundle_sha256=bundle.sha256,
        unseen=bundle.unseen,
    )


def _following(progress: Progress) -> Callable[[Mapping[str, Any]], None]:
    def follow(event: Mapping[str, Any]) -> None:
        if event["event"] == "scored":
            progress.to(event["done"], event["total"])

    return follow


def _log(run: Run, label: str) -> Path:
    return run.logs / f"score-{label.replace(':', '-')}.log"


def _score(
    label: str, bundle: BundleRef, target: Path, run: Run, threads: int, progress: Progress
) -> ScoresRef:
    arguments = ["score", bundle.path, str(run.rows), "--split", "test", "--out", str(target)]
    if label == "champion":
        arguments.append("--older")
    done = run_model(
        [*arguments, "--threads", str(threads)], log=_log(run, label), on_event=_following(progress)
    )
    if done["digest"] != bundle.sha256:
        raise FileChanged(
            f"{bundle.path}: bundle {done['digest'][:12]} was scored, expected {bundle.sha256[:12]}: it "
            "was changed since it was packaged. Remove it and run again"
        )
    progress.outcome = f"{done.get('rows', 0):,} rows"
    return ScoresRef(path=str(target), sha256=file_sha256(target), bundle_sha256=bundle.sha256)


def test_rows(rows: Path, heads: Sequence[str]) -> list[str]:
    """Digests of the test texts and of the targets of `heads`: part of the key of what answers them."""
    files = [rows / "test.texts.jsonl", *(rows / f"test.{head}.npy" for head in heads)]
    return [file_sha256(file) for file in files]
