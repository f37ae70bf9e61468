"""Names of flow runs as a person reads them: `kitchen · 2026-11-30 03:00`, in UTC.

Asked for by Prefect when a run begins, before its configuration is checked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MOST = 64
"""Longest name of a project that is shown, in characters."""


def named_run() -> str:
    """Name of the run that begins now."""
    from prefect.runtime import flow_run

    return f"{project_of(flow_run.parameters)} · {time.strftime('%Y-%m-%d %H:%M', time.gmtime())}"


def project_of(parameters: Mapping[str, Any]) -> str:
    """Name of the project that a run with these parameters is of; its configuration's file name where that
    can't be read."""
    if "config" not in parameters:
        return str(parameters.get("name") or "headgate")[:MOST]
    config = Path(str(parameters["config"]))
    try:
        name = yaml.safe_load(config.read_text(encoding="utf-8"))["name"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        name = None
    return (name if isinstance(name, str) and name.isprintable() else config.stem)[:MOST]
