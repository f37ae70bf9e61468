"""Everything that is looked at before a run: all problems at once."""

from __future__ import annotations

from pathlib import Path

from flows.check.data import look_at_sources
from flows.check.encoder import chosen_encoder, look_at_encoder
from flows.check.estimate import look_at_needs
from flows.check.finding import Finding, refuse_problems
from flows.check.places import look_at_home, look_at_port, look_at_registry
from flows.config.schema import Project
from report.progress import print_line

LATER = ("registry", "disk")
"""What stops no run that finds nothing to do; others wait for it (`registry.wait_s`), or fail with it."""


def look(project: Project, base: Path, folder: Path, *, deploys: bool = True) -> list[Finding]:
    """What was found, in the order in which a run needs it.

    Args:
        base: folder of the configuration.
        folder: the state folder.
        deploys: whether the run registers and deploys; a validation does neither.
    """
    project, said = chosen_encoder(project, folder)
    data = look_at_sources(project, base)
    found = [*data.findings]
    found += [Finding(what="encoder", says=said, state="remark")] if said else []
    found += look_at_encoder(project.backbone, project.train.max_length)
    found.append(look_at_home(folder))
    if deploys:
        found += [look_at_port(project, folder), *look_at_registry(project)]
        found += look_at_needs(project, data.sources, folder)
    return found


def refuse_unready(project: Project, config: Path, folder: Path, *, deploys: bool) -> None:
    """Return if nothing that is seen now would stop every such run later; say how long it may take.

    Args:
        config: the configuration file.

    Raises:
        flows.check.finding.NotReady: something would; all problems at once.
    """
    found = look(project, config.resolve().parent, folder, deploys=deploys)
    if any(one.state == "problem" and one.what not in LATER for one in found):
        refuse_problems(found)
    for one in found:
        if one.what == "time" or (one.what in ("memory", *LATER) and one.state != "ok"):
            print_line(f"  {one.what}: {one.says}")
