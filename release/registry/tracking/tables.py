"""Tables beside a run, as MLflow's pages read them: the evidence, and each head's answers on its test rows.

Rows are known by their number. Their texts are written only where the configuration asks for it
(`registry.log_mistakes`), and then only those that were answered wrongly.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expectations.gates.figures import verdict_figures
from expectations.gates.scores import HeadScores, load_scores
from expectations.verdict import Verdict
from model.spec import HeadSpec

MOST_ROWS = 5_000
"""Most rows of a table: a browser shows it whole."""
MOST_MISTAKES = 500
"""Most texts that were answered wrongly, a head."""
TABLES_TAG = "mlflow.loggedArtifacts"
"""Tag of a run that lists its tables, by which MLflow's evaluation page finds them."""

Table = Mapping[str, Any]
"""`columns` and `data`, a list a row: what MLflow calls a table."""


def evidence_table(verdict: Verdict) -> Table:
    """One row a finding, with all of its figures."""
    columns = ["subject", "outcome", "metric", "shared", "baseline", "difference", "lower", "upper"]
    columns += ["limit", "unit", "rows", "confidence"]
    rows = []
    for one in verdict_figures(verdict):
        numbers = {**one.numbers(), "subject": one.subject, "outcome": one.outcome}
        numbers |= {"metric": one.metric, "unit": one.unit}
        rows.append([_json_number(numbers.get(column)) for column in columns])
    return {"columns": columns, "data": rows}


def answers_table(shared: HeadScores, baseline: HeadScores | None) -> Table:
    """The answers to one head's labelled test rows: wrong ones first, and the surest of each first."""
    columns = ["row", "target", "prediction", "probability", "correct"]
    columns += ["baseline_prediction"] if baseline is not None else []
    order, wrong = _wrong_first(shared)[:MOST_ROWS], _wrong(shared)
    rows = []
    for at in order.tolist():
        wanted, said = _labels(shared, shared.targets[at]), _labels(shared, shared.decisions[at])
        row = [at + 1, wanted, said, _probability(shared, at), bool(not wrong[at])]
        rows.append(row + ([_labels(baseline, baseline.decisions[at])] if baseline is not None else []))
    return {"columns": columns, "data": rows}


def mistakes_table(shared: HeadScores, texts: Path) -> Table:
    """Texts of test rows that the shared model answered wrongly, those first of which it was surest.

    Args:
        texts: `test.texts.jsonl`, a text a line.
    """
    answered = _wrong(shared)
    wrong = [at for at in _wrong_first(shared).tolist() if answered[at]][:MOST_MISTAKES]
    said = dict(_lines(texts, frozenset(wrong)))
    rows = [
        [
            at + 1,
            said.get(at, ""),
            _labels(shared, shared.targets[at]),
            _labels(shared, shared.decisions[at]),
            _probability(shared, at),
        ]
        for at in wrong
    ]
    return {"columns": ["row", "text", "target", "prediction", "probability"], "data": rows}


def log_tables(client: Any, run_id: str, tables: Mapping[str, Table]) -> None:
    """Write tables (path → table) and list them for MLflow's evaluation page."""
    for path, table in tables.items():
        client.log_text(run_id, json.dumps(table, ensure_ascii=False), path)
    listed = [{"path": path, "type": "table"} for path in sorted(tables)]
    client.set_tag(run_id, TABLES_TAG, json.dumps(listed))


def _wrong_first(scores: HeadScores) -> NDArray[np.int64]:
    """Numbers of the labelled rows: those answered wrongly first, and the surest of each first."""
    labelled = np.flatnonzero(scores.labelled)
    sure = np.zeros(labelled.size)
    if scores.probabilities is not None:
        sure = scores.probabilities[labelled].max(axis=1)
    return labelled[np.lexsort((-sure, ~_wrong(scores)[labelled]))]


def _wrong(scores: HeadScores) -> NDArray[np.bool_]:
    """(N,): whether a row was answered otherwise than it is labelled, where it is."""
    differ = scores.targets != scores.decisions
    return differ if differ.ndim == 1 else np.asarray((differ & (scores.targets >= 0)).any(axis=1))


def _labels(scores: HeadScores, answer: Any) -> str:
    if scores.kind == "multiclass":
        at = int(answer)
        return scores.labels[at] if 0 <= at < len(scores.labels) else ""
    return ", ".join(label for label, one in zip(scores.labels, answer, strict=True) if one == 1)


def _probability(scores: HeadScores, at: int) -> float | None:
    """Of the surest label."""
    if scores.probabilities is None:
        return None
    return round(float(np.max(scores.probabilities[at])), 4)


def _lines(file: Path, wanted: frozenset[int]) -> Iterator[tuple[int, str]]:
    if not wanted:
        return
    with file.open(encoding="utf-8") as lines:
        for at, line in enumerate(itertools.islice(lines, max(wanted) + 1)):
            if at in wanted:
                raw = json.loads(line)
                yield at, str(raw if isinstance(raw, str) else raw.get("text", ""))


def _json_number(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def answer_tables(
    answers: Mapping[str, Path], heads: Mapping[str, HeadSpec], texts: Path | None
) -> dict[str, Table]:
    """Path → table of every head whose answers are there.

    Args:
        answers: label of a model → file of its answers.
        texts: file of the test texts, where those that were answered wrongly are wanted.
    """
    found: dict[str, Table] = {}
    if "shared" not in answers:
        return found
    with contextlib.suppress(OSError, ValueError):  # the gates say what is wrong with them
        for head, scores in load_scores(answers["shared"], heads).items():
            file = answers.get(f"baseline:{head}")
            baseline = None if file is None else load_scores(file, {head: heads[head]}).get(head)
            found[f"eval_results/{head}.json"] = answers_table(scores, baseline)
            if texts is not None:
                found[f"eval_results/{head}_mistakes.json"] = mistakes_table(scores, texts)
    return found
