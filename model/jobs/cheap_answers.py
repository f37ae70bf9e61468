"""Answers of the cheap references for one head, in a process of their own, kept by content.

Does not know how they answer (`model.measure.cheap_answers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from ..cache import Cache
from ..code import code_digest
from ..digest import digest
from ..references import AnswersRef, Run
from ..spec import ReferenceName
from .baselines import split_sha256
from .process import run_model
from .progress import Progress
from .score import test_rows

ANSWERS = "answers.npz"


def cheap_answers(name: str, run: Run, wanted: Sequence[ReferenceName], progress: Progress) -> AnswersRef:
    """What the wanted references answer to the test rows, fitted on the training rows of the head `name`.

    Raises:
        model.jobs.process.ModelProcessError: they could not be fitted.
    """
    head = run.heads[name]
    splits = [split_sha256(run.rows, split) for split in ("train", "validation")]
    key = digest(
        *("references", name, head.kind, head.labels, head.primary_metric, list(wanted)),
        *(run.head_fingerprints[name], splits, test_rows(run.rows, (name,))),
        *(version("scikit-learn"), code_digest()),
    )

    entry = Cache(run.cache).entry("references", key)
    with entry.making() as folder:
        if folder is not None:
            arguments = ["reference", str(run.rows), name, "--metric", head.primary_metric]
            arguments += ["--only", *wanted, "--out", str(folder / ANSWERS)]
            done = run_model(arguments, log=run.logs / f"reference-{name}.log")
            progress.outcome = f"{done['rows']:,} rows"
        else:
            progress.outcome = "cached"
    return AnswersRef(path=str(entry.folder / ANSWERS), sha256=entry.sha256(ANSWERS))
