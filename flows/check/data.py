"""The sources: files that are there, columns that they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.check.finding import Finding
from flows.config.schema import Project
from sources.errors import DataError
from sources.formats.locate import AbsentPath
from sources.look.declared import Declared, look_at_declared


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFound:
    """What is there to learn from."""

    findings: tuple[Finding, ...]
    sources: Mapping[str, Declared]
    """Source → its files and rows; those that are not known here are left out."""


def look_at_sources(project: Project, base: Path) -> DataFound:
    """Every source of the project.

    Args:
        base: what relative paths start from.
    """
    findings: list[Finding] = []
    known: dict[str, Declared] = {}
    for name, spec in sorted(project.sources.items()):
        what = f"source {name}"
        try:
            declared = look_at_declared(name, spec, base, project.heads)
        except DataError as error:
            if isinstance(error, AbsentPath) and spec.optional:
                findings.append(Finding(what=what, says=f"left out: {error}", state="remark"))
            else:
                problems = [str(problem) for problem in error.problems]
                findings += [Finding(what=what, says=says, state="problem", kind="data") for says in problems]
            continue
        if declared is None:
            where = "a hub dataset" if spec.hub is not None else "a query"
            findings.append(Finding(what=what, says=f"{where}, asked when the run begins", state="remark"))
            continue
        known[name] = declared
        files = f"{declared.files:,} file{'s' if declared.files != 1 else ''}"
        findings.append(Finding(what=what, says=f"{files}, about {declared.rows:,} rows"))
    return DataFound(findings=tuple(findings), sources=known)
