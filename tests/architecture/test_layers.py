"""The house keeps its shape: layers, module sizes, names, silence at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "tasks", "report", "release", "sources", "expectations", "serving", "model")
MODULES = sorted(
    path.relative_to(ROOT) for package in (*PACKAGES, "benchmarks") for path in (ROOT / package).rglob("*.py")
)
LONGEST_LINES = 400


def test_imports_point_only_downwards() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_is_readable_in_one_sitting(module: Path) -> None:
    lines = len((ROOT / module).read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_LINES, f"{module} has {lines} lines: which idea should move out?"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_says_what_it_is(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{module} has no docstring"
    assert module.stem not in {"utils", "helpers", "common", "misc"}
    if module.name == "__init__.py":
        assert len(tree.body) == 1, f"{module} holds more than a docstring"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_public_things_have_docstrings(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not bare, f"{module}: no docstring on {', '.join(bare)}"


TASKS = [module for module in MODULES if module.parts[0] == "tasks" and module.name != "__init__.py"]
LONGEST_TASK_LINES = 80


@pytest.mark.parametrize("module", TASKS, ids=str)
def test_a_task_file_holds_one_task_and_is_thin(module: Path) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    tasks = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and any("task" in ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list)
    ]
    assert tasks == [module.stem], f"{module}: expected one task of the file's name, seen {tasks}"
    assert len(text.splitlines()) <= LONGEST_TASK_LINES, f"{module}: what it does belongs to a room below"


MOST_MODULES = 15


@pytest.mark.parametrize("folder", sorted({module.parent for module in MODULES}), ids=str)
def test_a_folder_can_be_looked_over(folder: Path) -> None:
    modules = [module for module in MODULES if module.parent == folder]
    assert len(modules) <= MOST_MODULES, f"{folder} has {len(modules)} modules: which room is missing?"


MOST_PARAMETERS = 7
MORE_PARAMETERS = {
    "flows/cli/commands.py:follow": "each one is an option of the command",
}
"""Functions that may have more, each with its reason."""


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[0] in PACKAGES], ids=str)
def test_a_function_takes_few_things(module: Path) -> None:
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = node.args
        names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        count = len(names) - (names[:1] in (["self"], ["cls"]))
        if f"{module.as_posix()}:{node.name}" not in MORE_PARAMETERS:
            assert count <= MOST_PARAMETERS, f"{module}: {node.name} takes {count} things: pass an object"


def test_nothing_under_tests_imports_a_benchmark() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] == "benchmarks" for name in names), path


BUILT_IN_ERRORS = {"Exception", "RuntimeError", "ValueError", "OSError"}


def test_every_foreseen_error_derives_from_one_class_with_a_kind() -> None:
    """Whoever shows errors asks one class; an error outside its tree would end in a traceback."""
    own = ("_", "Fault", "Closed", "QueueFull", "Refused", "OrphanedWorker", "CellError")
    for module in MODULES:
        if module.parts[0] not in PACKAGES:
            continue
        for node in ast.parse((ROOT / module).read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or node.name.startswith(own):
                continue
            name = ".".join(module.with_suffix("").parts)
            bases = {ast.unparse(base) for base in node.bases} & BUILT_IN_ERRORS
            assert not bases or node.name == "HeadgateError", (
                f"{name}.{node.name}: derive it from HeadgateError"
            )


def test_config_fields_have_docstrings() -> None:
    """The JSON Schema takes each field's description from the docstring under it."""
    from flows.config.load import json_schema

    schema = json_schema()
    sections = {"Project": schema["properties"]} | {
        name: definition.get("properties", {}) for name, definition in schema["$defs"].items()
    }
    bare = [
        f"{section}.{field}"
        for section, fields in sections.items()
        for field, described in fields.items()
        if not described.get("description")
    ]
    assert not bare, f"no docstring under {', '.join(bare)}"


IMPORT_QUIETLY = """
import os, sys, pathlib
before = dict(os.environ), sorted(pathlib.Path.cwd().iterdir())
import {modules}
after = dict(os.environ), sorted(pathlib.Path.cwd().iterdir())
assert before == after, "importing changed the environment or left files"
heavy = {forbidden} & set(sys.modules)
assert not heavy, f"imported {{sorted(heavy)}}"
"""


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("model.spec, sources.spec, expectations.spec, expectations.verdict", {"numpy", "torch", "pydantic"}),
        ("model.bundle.reader", {"torch", "transformers", "pandas", "pyarrow", "pydantic"}),
        ("serving.http.app", {"torch", "transformers", "pandas", "mlflow", "prefect", "great_expectations"}),
        ("flows.cli.commands", {"torch", "mlflow", "prefect", "great_expectations", "polars", "pandas"}),
        ("expectations.data.gate", {"great_expectations", "torch"}),
    ],
)
def test_importing_is_light_and_leaves_nothing(modules: str, forbidden: set[str], tmp_path: Path) -> None:
    code = IMPORT_QUIETLY.format(modules=modules, forbidden=repr(forbidden))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_pickle_and_no_remote_code() -> None:
    """Words that would let a model file run code have no place in the packages."""
    forbidden = ("import pickle", "torch.save(", "torch.load(", "trust_remote_code=True", "allow_pickle=True")
    found = [
        f"{module}: {word}"
        for module in MODULES
        for word in forbidden
        if word in (ROOT / module).read_text(encoding="utf-8")
    ]
    assert not found
