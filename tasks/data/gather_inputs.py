"""Gather what a run would be made of: data, configuration, encoder, code, libraries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from model.spec import BackboneSpec
from release.runs import inputs
from release.runs.inputs import Inputs
from sources.dataset import DatasetRef


@task(name="gather-inputs", task_run_name="gather-inputs", cache_policy=NO_CACHE)
def gather_inputs(
    data: DatasetRef, backbone: BackboneSpec, configuration: Mapping[str, Any], *, files: Mapping[str, Path]
) -> Inputs:
    """The inputs of a run, as digests with names.

    Args:
        configuration: field → value.
        files: further files that the run reads, by name.

    Raises:
        model.errors.BackboneError: there is no such encoder, or the hub cannot be reached.
    """
    return inputs.gather_inputs(data, backbone, configuration, files=files)
