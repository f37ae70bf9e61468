"""The verdict in Prefect's own interface: a markdown page and a table beside the run.

Knows verdicts; holds no text from the data. Reasons may name labels, which come from the data: they are
written so that no reader of markdown takes them for markup or a link.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from expectations.verdict import Verdict


@task(name="publish-artifacts", cache_policy=NO_CACHE)
def publish_artifacts(
    name: str, verdict: Verdict, rows: Sequence[Mapping[str, Any]], pages: Mapping[str, str]
) -> None:
    """One markdown and one table artifact for project `name`; each run adds a version to its key."""
    key = name.replace("_", "-")
    lines = [f"# {name}: {verdict.outcome}", ""]
    lines += [f"- {plain(reason)}" for reason in verdict.reasons] or ["Every gate passed."]
    lines += [f"- Remark: {plain(remark)}" for remark in verdict.remarks]
    lines += ["", "| page | file |", "|---|---|"]
    lines += [f"| {title} | {plain(path)} |" for title, path in pages.items()]
    create_markdown_artifact(
        markdown="\n".join(lines), key=f"{key}-verdict", description="Verdict and reasons"
    )
    if rows:
        create_table_artifact(
            table=[dict(row) for row in rows], key=f"{key}-figures", description="Figures behind the verdict"
        )


def plain(text: str) -> str:
    """`text` so that markdown shows it as it is: HTML escaped, signs of markdown as HTML entities."""
    return "".join(f"&#{ord(sign)};" if sign in _SIGNS else sign for sign in html.escape(text))


_SIGNS = frozenset("\\`*[]()!|~\n\r")
"""What begins a link, an image, code, emphasis, or another cell."""
