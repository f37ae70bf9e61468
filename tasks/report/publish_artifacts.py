"""How a run ended in Prefect's own interface: a markdown page, a table and a link beside the run.

Holds no text from the data. Reasons may name labels, which come from the data: they are written so that no
reader of markdown takes them for markup or a link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from report.ending import Shown, ending_markdown


@task(name="publish-artifacts", task_run_name="publish-artifacts", cache_policy=NO_CACHE)
def publish_artifacts(
    name: str, shown: Shown, rows: Sequence[Mapping[str, Any]], pages: Mapping[str, str], link: str = ""
) -> None:
    """A markdown and a table artifact for project `name`; each run adds a version to its key.

    Args:
        rows: of the verdict table; none where no model was judged.
        link: address of the pages, where they are served.
    """
    key = name.replace("_", "-")
    text = ending_markdown(name, shown, pages)
    create_markdown_artifact(markdown=text, key=f"{key}-verdict", description="How the run ended, and why")
    if rows:
        create_table_artifact(
            table=[dict(row) for row in rows], key=f"{key}-figures", description="Figures behind the verdict"
        )
    if link:
        create_link_artifact(
            link=link, link_text="Report", key=f"{key}-report", description="Report of the run"
        )
