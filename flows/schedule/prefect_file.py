"""`prefect.yaml` of a project: the same deployments for `prefect deploy --all`.

python -m flows.schedule.prefect_file configs/quickstart.yaml > prefect.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from flows.config.load import load_project
from flows.schedule.plan import (
    COLLISION,
    GRACE_S,
    JOB,
    LIMIT,
    POOL,
    QUEUE,
    Deployment,
    plan_from_here,
)

HEAD = """\
# Deployments of the quickstart, for `prefect deploy --all`. Written by
#   python -m flows.schedule.prefect_file configs/quickstart.yaml > prefect.yaml
# For a project of your own: `headgate schedule CONFIG`, which makes the same from its configuration.
# Entry points are modules, not files: a file would register its flow under a bare name. Runs start in the
# folder that `prefect deploy` was called from: without a pull step Prefect notes it.
"""


class _Named(yaml.SafeDumper):
    """Writes what all deployments share once, under a name."""

    names: Iterator[str] = iter(())

    def generate_anchor(self, node: yaml.Node) -> str:
        """The next name."""
        return next(self.names)


def prefect_file(config: Path) -> str:
    """The file's text.

    Raises:
        flows.config.messages.ConfigError: the configuration cannot be used.
    """
    pool = {
        "name": POOL,
        "work_queue_name": QUEUE,
        "job_variables": dict(JOB),
    }
    place = {"limit": LIMIT, "collision_strategy": COLLISION, "grace_period_seconds": GRACE_S}

    def entry(one: Deployment) -> dict[str, Any]:
        schedules = [] if one.cron is None else [{"cron": one.cron, "timezone": one.timezone, "active": True}]
        raw: dict[str, Any] = {
            "name": one.name,
            "description": one.description,
            "entrypoint": one.entrypoint,
            "parameters": dict(one.parameters),
            "work_pool": pool,
            "concurrency_limit": place,
            "schedules": schedules,
        }
        return raw | ({"triggers": [dict(trigger) for trigger in one.triggers]} if one.triggers else {})

    whole = {
        "name": "headgate",
        "prefect-version": version("prefect"),
        "definitions": {"pool": pool, "one_at_a_time": place},
        "deployments": [entry(one) for one in plan_from_here(load_project(config), config)],
    }

    class _Once(_Named):
        names = iter(("pool", "one_at_a_time"))

    return HEAD + yaml.dump(whole, Dumper=_Once, sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(prefect_file(Path(sys.argv[1])))
