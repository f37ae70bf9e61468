"""The machine that figures were measured on: a figure without its machine means nothing.

Asks the operating system; measures nothing and imports no library to ask its version.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""Instruction sets that decide how fast bfloat16 and int8 are."""

PACKAGES = (
    "torch", "transformers", "onnxruntime", "polars", "pandas", "pyarrow", "great-expectations", "mlflow",
    "prefect", "fastapi",
)  # fmt: skip


def describe_machine() -> dict[str, Any]:
    """Processor, usable cores, memory in GiB, instruction sets, GPU, and versions: plain JSON."""
    about = _cpu_info()
    return {
        "cpu": about.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "flags": [flag for flag in FLAGS if flag in about.get("flags", "").split()],
        "gpu": _gpu(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def usable_cores() -> int:
    """Cores that this process may run on (not those of the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_line(machine: dict[str, Any]) -> str:
    """The machine as one readable line."""
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    return f"{machine['cpu']}{flags}, {machine['cores']} cores, {machine['memory_gib']} GiB{gpu}"


def _cpu_info() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text(encoding="utf-8").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _gpu() -> str | None:
    """Name of the first NVIDIA GPU; None where there is none or its tool does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = subprocess.run(
        [tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
    )
    names = asked.stdout.strip().splitlines()
    return names[0] if asked.returncode == 0 and names else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
