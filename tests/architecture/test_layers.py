"""The house keeps its shape: layers, module sizes, names, silence at import."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "tasks", "report", "release", "sources", "expectations", "serving", "model")
MODULES = sorted(
    path.relative_to(ROOT) for package in (*PACKAGES, "benchmarks") for path in (ROOT / package).rglob("*.py")
)
LONGEST_LINES = 400


@functools.cache
def text_of(module: Path) -> str:
    return (ROOT / module).read_text(encoding="utf-8")


@functools.cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(text_of(module))


def told(problems: Iterable[str]) -> str:
    """All that breaks a rule, a line each; empty where nothing does."""
    return "\n".join(problems)


def test_imports_point_only_downwards() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_module_is_readable_in_one_sitting() -> None:
    lines = {module: len(text_of(module).splitlines()) for module in MODULES}
    assert not told(
        f"{module} has {count} lines: which idea should move out?"
        for module, count in lines.items()
        if count > LONGEST_LINES
    )


def test_a_module_says_what_it_is() -> None:
    assert not told(
        f"{module} has no docstring" for module in MODULES if not ast.get_docstring(tree_of(module))
    )
    assert not told(
        f"{module} is named after nothing"
        for module in MODULES
        if module.stem in {"utils", "helpers", "common", "misc"}
    )
    assert not told(
        f"{module} holds more than a docstring"
        for module in MODULES
        if module.name == "__init__.py" and len(tree_of(module).body) != 1
    )


def test_public_things_have_docstrings() -> None:
    assert not told(
        f"{module}: no docstring on {node.name}"
        for module in MODULES
        for node in tree_of(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    )


TASKS = [module for module in MODULES if module.parts[0] == "tasks" and module.name != "__init__.py"]
LONGEST_TASK_LINES = 80


@pytest.mark.parametrize("module", TASKS, ids=str)
def test_a_task_file_holds_one_task_and_is_thin(module: Path) -> None:
    tasks = [
        node.name
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef)
        and any("task" in ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list)
    ]
    assert tasks == [module.stem], f"{module}: expected one task of the file's name, seen {tasks}"
    assert len(text_of(module).splitlines()) <= LONGEST_TASK_LINES, (
        f"{module}: what it does belongs to a room below"
    )


MOST_MODULES = 15


def test_a_folder_can_be_looked_over() -> None:
    counted = Counter(module.parent for module in MODULES)
    assert not told(
        f"{folder} has {count} modules: which room is missing?"
        for folder, count in counted.items()
        if count > MOST_MODULES
    )


MOST_PARAMETERS = 7
MORE_PARAMETERS = {
    "flows/cli/commands.py:follow": "each one is an option of the command",
}
"""Functions that may have more, each with its reason."""


def test_a_function_takes_few_things() -> None:
    assert not told(
        f"{module}: {node.name} takes {taken(node)} things: pass an object"
        for module in MODULES
        if module.parts[0] in PACKAGES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and taken(node) > MOST_PARAMETERS
        and f"{module.as_posix()}:{node.name}" not in MORE_PARAMETERS
    )


def taken(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


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
        for node in tree_of(module).body:
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
    found = [f"{module}: {word}" for module in MODULES for word in forbidden if word in text_of(module)]
    assert not found
