"""The files of `deploy/` start commands that exist, with every library's telemetry off."""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest
import yaml

from flows.cli.commands import main
from flows.up.parts import PLACES
from model.bundle.telemetry import SWITCHES

ROOT = Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_the_unit_starts_a_command_that_exists() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "deploy" / "headgate.service", encoding="utf-8")
    program, command, *configs = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/headgate") and command in main.commands
    assert all((ROOT / config).is_file() for config in configs)
    assert unit["Service"]["KillMode"] == "mixed" and "Restart" in unit["Service"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_a_command_that_exists_and_sends_nothing(service: str) -> None:
    described = SERVICES[service]
    program, command, *_ = shlex.split(described["command"])
    assert program == "prefect" or command in main.commands
    assert described["environment"].items() >= SWITCHES.items()
    assert program != "prefect" or described["environment"].items() >= PLACES.items()
    assert all(port.startswith("127.0.0.1:") for port in described["ports"]), "on this machine alone"
    assert (ROOT / described["build"]["dockerfile"]).is_file()
