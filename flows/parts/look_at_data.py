"""What flows that judge data share: tell what changed since the champion, weigh the chances, judge."""

from __future__ import annotations

from expectations.changes import Changes
from flows.parts.graph import step
from flows.project import OpenProject
from model.references import Run
from release.champion import ChampionRef
from report.quality.pages import Quality
from sources.dataset import DatasetRef
from tasks.data.find_changes import find_changes
from tasks.data.validate_data import validate_data
from tasks.data.weigh_chances import weigh_chances
from tasks.report.publish_data import publish_data


def look_at_data(
    opened: OpenProject,
    data: DatasetRef,
    run: Run,
    champion: ChampionRef | None,
) -> tuple[Quality, Changes | None]:
    """(The verdict on the data with its pages; what changed since the champion, as far as there is one.)"""
    project = opened.project
    changed = step(find_changes, [run, champion])(data.path, run, champion=champion)
    chances = step(weigh_chances, [run])(data, run, project.gates, champion=champion)
    quality = step(validate_data, [changed, chances])(
        data,
        run,
        project.data_rules,
        chances=chances,
        champion=champion,
        changed=changed,
        base=opened.base,
    )
    step(publish_data, [quality])(quality, run)
    return quality, changed
