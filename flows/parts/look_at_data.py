"""What flows that judge data share: tell what changed since the champion, weigh the chances, judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from expectations.changes import Changes
from expectations.contract.consent import Change, consents_of
from expectations.contract.renamed import under_present_names
from flows.parts.graph import renewed, step
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
        champion=_under_present_names(champion, changed, data, project.gates.contract.allow),
        changed=changed,
        base=opened.base,
    )
    step(publish_data, [quality])(quality, run)
    return quality, changed


def _under_present_names(
    champion: ChampionRef | None, changed: Changes | None, data: DatasetRef, consents: Sequence[str]
) -> ChampionRef | None:
    """The champion, its data's heads and labels called as in today's data where a consent or the texts say
    that it is the same thing: a new name is no drift."""
    if champion is None or not champion.profile:
        return champion
    renamed = () if changed is None else changed.renamed
    changes = [Change("label renamed", one.head, one.old, one.new) for one in renamed]
    profile = under_present_names(champion.profile, data.heads, [*consents_of(consents), *changes])
    return renewed(replace(champion, profile=profile), champion)
