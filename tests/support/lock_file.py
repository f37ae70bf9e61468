"""`requirements.lock`: written from what pip installed, and held beside what is installed.

python -m tests.support.lock_file REPORT > requirements.lock     # pip's report of an installation
python -m tests.support.lock_file                                # do lock and environment agree?
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
HEAD = """\
# Made by `make lock`: each package with the sha256 of its file for Python 3.11 on Linux x86-64. Not torch:
# its build (for CPU or CUDA) is the index's choice, and it brings what that build needs.
# pip install --require-hashes --no-deps --requirement requirements.lock && pip install {torch}
"""
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ +]+)(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)"
)
OF_THE_BUILD = re.compile(r"headgate|setuptools|torch|nvidia-.*|cuda-.*|triton")
"""Packages that depend on the build of torch, and this one."""


def name_of(package: str) -> str:
    """A package's name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def lock_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The lock of what pip's report says was installed.

    Raises:
        ValueError: a file has no sha256.
    """
    found = {name_of(one["metadata"]["name"]): one for one in report["install"]}
    yield HEAD.format(torch=f"torch=={found['torch']['metadata']['version'].partition('+')[0]}")
    for name, one in sorted(found.items()):
        if OF_THE_BUILD.fullmatch(name):
            continue
        sha256 = one["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if sha256 is None:
            raise ValueError(f"{name}: the index gives no sha256")
        yield f"{name}=={one['metadata']['version']} --hash=sha256:{sha256}\n"


def disagreements(lock: Path = LOCK) -> list[str]:
    """Where the lock is not what is installed, or not what `--require-hashes` takes, one line each."""
    found = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        pin = PIN.fullmatch(line)
        if pin is None:
            found.append(f"no pin with a hash: {line}")
            continue
        try:
            here = version(pin["name"])
        except PackageNotFoundError:
            here = "none"
        if here.partition("+")[0] != pin["version"]:
            found.append(f"{pin['name']}: locked {pin['version']}, installed {here}")
    return found


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments:
        sys.stdout.writelines(lock_lines(json.loads(Path(arguments[0]).read_bytes())))
        return 0
    found = disagreements()
    print("\n".join(found) or "lock and environment agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
