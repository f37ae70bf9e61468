"""The verdict in Prefect's own interface: a markdown page and a table beside the run.

Knows verdicts; holds no text from the data. Reasons may name labels, which come from the data: they are
written so that no reader of markdown takes them for markup or a link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from expectations.verdict import Verdict
from serving.shown import plain_markdown


@task(name="publish-artifacts", cache_policy=NO_CACHE)
def publish_artifacts(
    name: str, verdict: Verdict, rows: Sequence[Mapping[str, Any]], pages: Mapping[str, str]
) -> None:
    """One markdown and one table artifact for project `name`; each run adds a version to its key."""
    key = name.replace("_", "-")
    lines = [f"# {name}: {verdict.outcome}", ""]
    lines += [f"- {plain_markdown(reason)}" for reason in verdict.reasons] or ["Every gate passed."]
    lines += [f"- Remark: {plain_markdown(remark)}" for remark in verdict.remarks]
    lines += ["", "| page | file |", "|---|---|"]
    lines += [f"| {title} | {plain_markdown(path)} |" for title, path in pages.items()]
    create_markdown_artifact(
        markdown="\n".join(lines), key=f"{key}-verdict", description="Verdict and reasons"
    )
    if rows:
        create_table_artifact(
            table=[dict(row) for row in rows], key=f"{key}-figures", description="Figures behind the verdict"
        )
