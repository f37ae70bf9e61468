"""What the data gate found, and what the data hold, as tables in Prefect's own interface."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from model.files import read_json
from model.references import Run
from report.ending import data_rows, finding_rows
from report.quality.pages import Quality


@task(name="publish-data", task_run_name="publish-data", cache_policy=NO_CACHE)
def publish_data(quality: Quality, run: Run) -> None:
    """One table of findings and one of heads and splits for the project of a run."""
    key = run.name.replace("_", "-")
    if rows := data_rows(read_json(run.profile)):
        create_table_artifact(
            table=rows, key=f"{key}-data", description="Labelled rows of each head and split"
        )
    if found := finding_rows(quality.verdict):
        create_table_artifact(table=found, key=f"{key}-findings", description="What the data gate found")
