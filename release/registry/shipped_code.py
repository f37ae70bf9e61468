"""The code that reads a bundle, to ship beside it: a copy of `model/bundle/` under a name of its own.

MLflow puts shipped code on `sys.path`: two versions that ship a package of the same name, loaded in one
process, would both run the first one's code. So the name holds the digest of the code.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import model.bundle
from model.code import folder_digest


def write_package(folder: Path) -> Path:
    """Copy the package into `folder` and return its own folder, named by its content."""
    source = Path(model.bundle.__path__[0])
    package = folder / f"headgate_bundle_{folder_digest(source)[:12]}"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package
