"""The lock is what is installed, and what `pip install --require-hashes` takes."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.lock_file import LOCK, PIN, disagreements, lock_lines, name_of

ROOT = Path(__file__).resolve().parents[2]


def test_lock_and_environment_agree() -> None:
    assert disagreements() == []


def test_everything_that_is_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {name_of(re.split(r"[<>=!~\[; ]", one)[0]) for one in asked}
    locked = {match["name"] for match in map(PIN.fullmatch, LOCK.read_text().splitlines()) if match}
    assert names - locked == {"torch"} and "torch==" in LOCK.read_text()


def test_each_disagreement_is_named(tmp_path: Path) -> None:
    lock, sha256 = tmp_path / "lock", "0" * 64
    lock.write_text(
        f"# a comment\npytest==0.0.1 --hash=sha256:{sha256}\n"
        f"no-such-package==1.0 --hash=sha256:{sha256}\nnumpy==2.0\n"
    )
    assert [line.partition(":")[0] for line in disagreements(lock)] == [
        "pytest",
        "no-such-package",
        "no pin with a hash",
    ]


def test_a_report_of_pip_becomes_a_lock() -> None:
    def one(name: str, version: str, **archive: str) -> dict[str, object]:
        about = {"archive_info": {"hashes": archive} if archive else {}}
        return {"metadata": {"name": name, "version": version}, "download_info": about}

    sha256 = hashlib.sha256(b"").hexdigest()
    torch, numpy = one("torch", "2.13.0+cpu", sha256=sha256), one("Num_Py", "2.3.1", sha256=sha256)
    head, line = lock_lines({"install": [torch, numpy, one("nvidia-cublas", "1"), one("headgate", "0.2.0")]})
    assert "pip install torch==2.13.0\n" in head and all(row.startswith("#") for row in head.splitlines())
    assert line == f"num-py==2.3.1 --hash=sha256:{sha256}\n" and PIN.fullmatch(line.strip())
    with pytest.raises(ValueError, match="numpy: the index gives no sha256"):
        list(lock_lines({"install": [torch, one("numpy", "2.3.1")]}))
