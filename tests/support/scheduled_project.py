"""A configuration with a schedule, for tests that train nothing."""

from __future__ import annotations

from pathlib import Path

import yaml


def scheduled_config(folder: Path, **schedule: object) -> Path:
    """The configuration of a project `kitchen` with one row and this section `schedule`."""
    (folder / "rows.csv").write_text("text,topic\na,b\n")
    raw = {
        "name": "kitchen",
        "backbone": "offline",
        "heads": {"topic": "multiclass"},
        "sources": {"rows": {"path": "rows.csv", "heads": {"topic": "topic"}}},
        "schedule": schedule,
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path
