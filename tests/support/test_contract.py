"""Every benchmark and campaign has one command line, one form of output and one meaning of its exit code."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import catalogue

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("benchmarks", "tests.campaigns")
ENTRIES = [entry for package in PACKAGES for entry in catalogue.entries(package)]
MOST_LINES = 4100
"""Of Python in `benchmarks/`."""

WHOLE_FLOW_S = {
    "benchmarks.rerun": 80,
    "benchmarks.seeds": 80,
    "benchmarks.unattended.year_disk": 120,
    "benchmarks.unattended.unchanged": 150,
    "benchmarks.unattended.year": 400,
    "tests.campaigns.hour": 330,
}
"""Quick runs over the limit: each is one whole flow, whose processes alone take more than a minute."""


def python(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_keeps_the_contract_for_made_up_measures(package: str) -> None:
    """Options, last line and exit code; `--check` measures nothing."""
    done = python(package, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.partition(":")[0] for line in done.stdout.splitlines() if "as the contract says" in line]
    assert names == [entry.name for entry in catalogue.entries(package)]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_list_has_each_with_its_goal_and_times(package: str) -> None:
    done = python(package)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and all(len(line) <= 100 for line in lines), done.stdout
    for entry in catalogue.entries(package):
        (line,) = [line for line in lines if line.startswith(f"{entry.name} ")]
        assert f"{entry.quick_s} s" in line and f"{entry.whole_s:,} s" in line


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.module)
def test_a_quick_run_is_declared_to_end_within_a_minute(entry: catalogue.Entry) -> None:
    assert 0 < entry.quick_s <= WHOLE_FLOW_S.get(entry.module, catalogue.LIMIT_S)
    assert entry.about.endswith((".", "?")) and entry.goal


def test_the_command_line_of_a_real_one(tmp_path: Path) -> None:
    """What lies between `python -m` and `execute`: help, a refused option, a failure with a last line."""
    shown = python("tests.campaigns.gates", "--help")
    assert shown.returncode == 0 and "--quick" in shown.stdout and "Goal: every broken copy" in shown.stdout
    assert python("tests.campaigns.gates", "--quik").returncode == 2
    failed = python("tests.campaigns.gates", "--quick", str(tmp_path))
    assert failed.returncode == 1
    body = json.loads(failed.stdout.splitlines()[-1])
    assert (body["name"], body["quick"], body["met"]) == ("gates", True, False)
    assert "ROWS is missing" in body["error"]


def test_running_all_reports_seconds_and_exit_codes_and_fails_with_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = catalogue.Entry("tests.campaigns.no_such", "", "", 1, 1)
    assert catalogue.run_all([broken]) == 1
    out = capsys.readouterr().out
    assert re.search(r"tests\.campaigns\.no_such +[\d.]+ s  exit code 1", out)
    assert out.splitlines()[-1] == "1 run, 1 failed: no_such"
    assert catalogue.run_all([]) == 0


def test_output_that_breaks_the_contract_is_found() -> None:
    measure = {"name": "a", "value": 1.0, "unit": "", "goal": "≥ 1", "met": True}
    body = {"name": "x", "quick": True, "machine": {}, "measures": [measure], "met": True}

    def flaws(code: int = 0, before: str = "table", **changes: object) -> list[str]:
        return list(catalogue.output_flaws(f"{before}\n{json.dumps(body | changes)}\n", "x", code))

    assert flaws() == []
    assert flaws(code=1) and flaws(met=False) and flaws(name="y") and flaws(quick=False)
    assert flaws(before="w" * 101)
    assert flaws(measures=[{**measure, "met": None}])
    assert not flaws(measures=[{**measure, "met": None, "reason": "few rows"}])
    assert flaws(measures=[{**measure, "goal": None}])
    assert list(catalogue.output_flaws("no json", "x", 0)) and list(catalogue.output_flaws("", "x", 0))


def test_a_module_that_forgets_the_contract_is_named(tmp_path: Path) -> None:
    path = tmp_path / "racing.py"
    path.write_text('"""Races."""\n')
    with pytest.raises(ValueError, match=r"racing\.py: GOAL, QUICK_S, WHOLE_S missing"):
        catalogue._entry("benchmarks", path, "racing")
    path.write_text('"""Races."""\nGOAL = "fast"\nQUICK_S, WHOLE_S = 1, 2\n')
    with pytest.raises(ValueError, match=r"sys\.exit"):
        catalogue._entry("benchmarks", path, "racing")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_tests_do_not_import_benchmarks_nor_benchmarks_campaigns() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        assert not [name for name in _imports(path) if name.split(".")[0] == "benchmarks"], path
    for path in (ROOT / "benchmarks").rglob("*.py"):
        assert not [name for name in _imports(path) if name.startswith("tests.campaigns")], path


def test_benchmarks_stay_small() -> None:
    files = (ROOT / "benchmarks").rglob("*.py")
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= MOST_LINES


def test_fast_ones_run_on_every_change_and_all_by_make() -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for package in PACKAGES:
        assert f"python -m {package} --quick --under 10" in steps
        assert f"python -m {package} --quick" in makefile


ALONE = """
import sys
from benchmarks import gpu
from tests.support.contract import execute
code = execute(gpu, gpu.measure, ["--quick"], sys.stdout)
heavy = {"prefect", "mlflow", "great_expectations", "fastapi", "polars"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_gpu_race_needs_only_what_a_gpu_machine_has() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    measures = json.loads(done.stdout.splitlines()[-1])["measures"]
    assert len(measures) == 11
    assert all(measure["value"] > 0 and measure["met"] is None for measure in measures)
