"""The switches that keep libraries from sending anything, and the engine with its own set (stdlib only).

One place for all libraries: whoever starts a process, prints a command or describes a deployment takes them
from here. Ships with the bundle, because onnxruntime sends from whatever process imports it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Literal

ENGINE_SWITCH = "ORT_DISABLE_TELEMETRY"

SWITCHES: Mapping[str, str] = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Whoever opens this interface has a browser that asks a vendor, whatever the switch above says.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    ENGINE_SWITCH: "1",
}
"""Environment variable → the value with which its library sends nothing."""

OPENVINO_LEFT_OUT = ("openvino_telemetry", "openvino.tools.ovc")
"""Modules that OpenVINO finds missing: what sends, and what asks it to. It has no switch of its own."""

_READ_BY = {
    "prefect": ("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_SERVER_UI_V2_ENABLED", "DO_NOT_TRACK"),
    "mlflow": ("MLFLOW_DISABLE_TELEMETRY",),
}


def telemetry_off() -> None:
    """Set every switch in this process, and so in those that it starts, whatever was set before.

    To be called before the libraries are imported: some read their switch then.
    """
    os.environ.update(SWITCHES)


def quiet_command(program: Literal["prefect", "mlflow"], command: str) -> str:
    """`command`, a line of a shell that calls this program, with its switches before it."""
    return " ".join([*(f"{name}={SWITCHES[name]}" for name in _READ_BY[program]), command])


def load_engine() -> Any:
    """The module onnxruntime, imported with its telemetry off.

    It opens a queue in the user's cache folder and looks for its collector as soon as it is imported, so no
    other module may import it by itself.
    """
    os.environ[ENGINE_SWITCH] = SWITCHES[ENGINE_SWITCH]
    import onnxruntime

    return onnxruntime


def load_openvino() -> Any:
    """The module openvino, imported without its telemetry.

    Its package of tools tells a collector of every import, asks for no consent, and obeys no variable but
    `CI`; without `openvino_telemetry` it says nothing. The tools themselves, which convert models, are not
    needed here and take a third of the import, so they are left out as well.

    Raises:
        ImportError: it is not installed.
    """
    for name in OPENVINO_LEFT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    import openvino

    return openvino
