"""What the pages of a run, a registered model and a version say, in markdown: what it answers, its verdict,
where its report is, how to predict. Names of heads and labels stand there, texts never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from expectations.gates.figures import FindingFigures, verdict_figures
from expectations.verdict import Verdict
from release.registry.candidate import Candidate
from serving.shown import plain_markdown

NOTE_TAG = "mlflow.note.content"
"""Tag of a run that MLflow shows as its description."""
MOST_LABELS = 12
"""Most labels of a head that are named."""
MOST_REASONS = 5
MOST_NOTE = 4900
"""Longest description, in characters: MLflow refuses tags above 5,000 in some stores."""
REPORT_PAGE = "report/report.html"
"""Artifact with all pages of the report in one, whose links work in MLflow's viewer."""


MODEL_TRAINING = "?workflowType=machine_learning"
"""End of an address that opens MLflow's pages on training; without it those on language models open."""


def artifact_link(experiment: str, run_id: str, path: str) -> str:
    """Address of an artifact's page, from any page of the same MLflow."""
    return f"{run_link(experiment, run_id)}/artifacts/{path}{MODEL_TRAINING}"


def run_link(experiment: str, run_id: str) -> str:
    """Address of a run's page, from any page of the same MLflow."""
    return f"#/experiments/{experiment}/runs/{run_id}"


def describe_candidate(candidate: Candidate, name: str, version: int | None, report: str) -> str:
    """Description of a run or version of project `name`.

    Args:
        report: address of the report; empty where there is none yet.
    """
    # MLflow folds a long description after a few lines.
    parts = [f"**Verdict: {candidate.verdict.outcome}**" + _reasons(candidate.verdict)]
    parts.append(answers(candidate.configuration.get("heads", {})))
    parts.append(verdict_markdown(candidate.verdict))
    if report:
        parts.append(f"[Report with every figure]({report})")
    if version is not None:
        parts.append(how_to_predict(name, version))
    rows = ", ".join(f"{count:,} {split}" for split, count in candidate.dataset_rows.items())
    parts.append(f"Rows: {rows}." if rows else "")
    return "\n\n".join(filter(None, parts))[:MOST_NOTE]


def describe_model(name: str, heads: Mapping[str, Any]) -> str:
    """Description of the registered model of project `name`."""
    return "\n\n".join(
        (
            answers(heads),
            "Every version holds its verdict; the alias `champion` is the one that serves, and it moves only "
            "when every gate passed.",
            f'`headgate predict {plain_markdown(name)} "some text"` asks the endpoint.',
        )
    )


def answers(heads: Mapping[str, Any]) -> str:
    """What a model answers: a line a head."""
    if not heads:
        return ""
    lines = ["**Answers, about one text:**", ""]
    for head, spec in heads.items():
        labels = list(spec.get("labels") or ())
        shown = ", ".join(plain_markdown(label) for label in labels[:MOST_LABELS])
        more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
        kind = "one of" if spec.get("kind") == "multiclass" else "any of"
        lines.append(f"- `{head}`: {kind} {len(labels)} labels ({shown}{more})")
    return "\n".join(lines)


def verdict_markdown(verdict: Verdict) -> str:
    """The compared figures of a verdict as a table."""
    compared = [one for one in verdict_figures(verdict) if one.comparison is not None]
    if not compared:
        return ""
    lines = ["| subject | metric | shared | baseline | difference | verdict |", "|---|---|--:|--:|--:|---|"]
    return "\n".join(lines + [_row(one) for one in compared])


def how_to_predict(name: str, version: int) -> str:
    """The commands that ask a version."""
    uri = f"models:/{name}/{version}"
    return (
        f'```sh\nheadgate predict {name} "some text"  # the version that serves\n'
        f"headgate mlflow {name} models serve -m {uri} --env-manager local --port 5001\n```\n\n"
        "```python\nimport mlflow, pandas as pd\n"
        f'mlflow.pyfunc.load_model("{uri}").predict(pd.DataFrame({{"text": ["some text"]}}))\n```'
    )


def _row(one: FindingFigures) -> str:
    figures = (one.shared.value, one.baseline.value, one.difference.value)
    cells = [plain_markdown(one.subject), plain_markdown(one.metric) or "–", *map(_figure, figures)]
    return f"| {' | '.join([*cells, one.outcome])} |"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _reasons(verdict: Verdict) -> str:
    reasons: Sequence[str] = verdict.reasons[:MOST_REASONS]
    return "".join(f"\n- {plain_markdown(reason)}" for reason in reasons)
