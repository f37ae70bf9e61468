"""The few modules that read a bundle, as a package with a name of its own, to ship beside it.

MLflow puts shipped code on `sys.path`: two versions that ship a package of the same name, loaded in one
process, would both run the first one's code. So the name holds the digest of the code. Knows only that
`model` uses relative imports.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import model

ENTRY_MODULE = "bundle"


def shipped_modules(entry: str = ENTRY_MODULE) -> list[str]:
    """Names of the modules of `model` that `entry` imports, itself included, sorted."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_source(name))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                waiting += [node.module] if node.module else [alias.name for alias in node.names]
    return sorted(found)


def write_package(folder: Path) -> Path:
    """Write the package into `folder` and return its own folder, named by its content."""
    sources = {name: _source(name) for name in shipped_modules()}
    digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()
    package = folder / f"headgate_bundle_{digest[:12]}"
    package.mkdir()
    (package / "__init__.py").write_text('"""Reads a Headgate bundle; copied from `model` of Headgate."""\n')
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source, encoding="utf-8")
    return package


def _source(name: str) -> str:
    root = Path(next(iter(model.__path__)))
    return (root / f"{name}.py").read_text(encoding="utf-8")
