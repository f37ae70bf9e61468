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
