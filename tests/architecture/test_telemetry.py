"""Every process, printed command and description of a deployment has the switches of every library."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.cli.console import show_outcome
from flows.outcome import Outcome
from model.bundle.telemetry import SWITCHES, telemetry_off
from release.home import Home, environment

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "flows",
    "tasks",
    "report",
    "release",
    "sources",
    "expectations",
    "serving",
    "model",
    "benchmarks",
)
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DOOR = Path("model/bundle/telemetry.py")
STARTED_ALONE = (
    "model/__main__.py",
    "model/measure/timing_worker.py",
    "serving/__main__.py",
    "flows/cli/commands.py",
)
"""Programs whose libraries would send something."""


def _imports_at_run_time(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    typed = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    return [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) and id(n) not in typed]


def test_the_engines_are_imported_through_one_door() -> None:
    """They look for their collectors when they are imported; onnxruntime's own modules may be after it."""
    past = [place for module in MODULES for place in _past_the_door(module)]
    assert not past, "\n".join(past)


def _past_the_door(module: Path) -> Iterator[str]:
    """Places that import an engine in another way."""
    text = (ROOT / module).read_text(encoding="utf-8")
    for node in _imports_at_run_time(ast.parse(text)):
        named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if any(name.split(".")[0] == "openvino" for name in named) and module != DOOR:
            yield f"{module}:{node.lineno}"
        if any(name.split(".")[0] == "onnxruntime" for name in named) and module != DOOR:
            before = text.splitlines()[: node.lineno - 1]
            if not (node.col_offset and "load_engine()" in "\n".join(before[-8:])):
                yield f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", STARTED_ALONE)
def test_a_program_that_may_be_started_alone_sets_them_itself(module: str) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    assert "    telemetry_off()\n" in text and "    mask_process()\n" in text


def test_whatever_was_set_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.setenv(name, "something else")
    telemetry_off()
    assert {name: os.environ[name] for name in SWITCHES} == dict(SWITCHES)


def test_the_state_folders_variables_hold_all(tmp_path: Path) -> None:
    assert environment(Home(tmp_path)).items() >= SWITCHES.items()


def test_the_deployments_of_a_worker_hold_all() -> None:
    raw = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    for deployment in raw["deployments"]:
        assert deployment["work_pool"]["job_variables"]["env"].items() >= SWITCHES.items()


def test_commands_that_the_terminal_prints_carry_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered = {"version": 1, "run_id": "r", "tracking_uri": "sqlite:///store.sqlite"}
    show_outcome(Outcome(stage="model_rejected", name="small", registered=registered), home=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    [mlflow] = [line for line in lines if line.startswith("  MLflow")]
    [prefect] = [line for line in lines if line.startswith("  Prefect")]
    assert re.search(r"MLFLOW_DISABLE_TELEMETRY=true \S*mlflow ui ", mlflow)
    assert re.search(
        r"PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_SERVER_UI_V2_ENABLED=false DO_NOT_TRACK=1 "
        r"\S*prefect server start",
        prefect,
    )


def test_prefects_server_offers_no_interface_that_asks_a_vendor() -> None:
    """Its second interface loads a tracker in the browser even where analytics are off."""
    code = "from prefect.settings import get_current_settings as s; print(s().server.ui.v2_enabled)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **SWITCHES},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "docs/architecture.md"]
)
def test_commands_that_a_page_shows_carry_them(page: str) -> None:
    """In its line, or exported in the same block before it."""
    needed = {
        "prefect": ("PREFECT_SERVER_ANALYTICS_ENABLED=false", "DO_NOT_TRACK=1"),
        "mlflow": ("MLFLOW_DISABLE_TELEMETRY=true",),
    }
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for found in re.finditer(
            r"^\$ (?!export )(?:.* )?(?:\S*/)?(prefect|mlflow) ", block, flags=re.MULTILINE
        ):
            end = block.find("\n", found.start())
            for switch in needed[found[1]]:
                assert switch in block[:end], f"{page}: {block[found.start() : end]} lacks {switch}"


@pytest.mark.parametrize("module", ["flows.retrain", "flows.validate", "flows.rollback", "flows.judge"])
def test_a_flow_loads_no_engine_before_it_begins(module: str) -> None:
    code = f"import sys, {module}; print('onnxruntime' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip().endswith("False"), done.stdout + done.stderr
