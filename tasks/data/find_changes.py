"""Before anything is trained: what changed in the data since the version that serves."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.changes import Changes, changes
from expectations.contents import contents_of
from expectations.seen_texts import load_contents
from model.files import write_json
from model.references import Run
from release.champion import ChampionRef
from report.changes import CHANGES_FILE, change_lines, change_table
from report.progress import Step, print_line


@task(name="find-changes", task_run_name="find-changes", cache_policy=NO_CACHE)
def find_changes(dataset: Path, run: Run, *, champion: ChampionRef | None) -> Changes | None:
    """What changed since the champion was trained, shown and kept with the run; None where there is no
    champion, or nothing is known of its data.

    Args:
        dataset: the dataset folder.

    Raises:
        model.files.FileChanged: the list of the texts that the champion was trained on was changed.
    """
    if champion is None:
        return None
    found = None
    with Step(f"compare with version {champion.version}"):
        before = load_contents(champion.seen, champion.profile)
        if before is not None:
            found = changes(before, contents_of(dataset))
        shown = change_table(found, champion.version)
        write_json(run.folder / CHANGES_FILE, shown.to_json())
    for line in change_lines(shown):
        print_line(line)
    return found
