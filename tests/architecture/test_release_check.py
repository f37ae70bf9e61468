"""`make release-check` sees what does not agree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.release_check import ROOT, problems


def test_version_changelog_and_schema_agree_today() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("file", "before", "after", "named"),
    [
        ("pyproject.toml", 'version = "', 'version = "9', "its newest section is"),
        ("CHANGELOG.md", "## 0.2.0 (2026-11-30)", "## 0.2.0 (soon-1)", "its newest section is"),
        ("CHANGELOG.md", "(2026-11-30)", "(2026-13-30)", "is no date"),
        ("CHANGELOG.md", "(2026-11-30)", "(2020-01-01)", "not in order"),
        ("CHANGELOG.md", "## 0.1.0", "## 0.2.0", "one stands twice"),
        ("configs/schema.json", '"title": "Headgate project"', '"title": "x"', "not today's schema"),
    ],
)
def test_each_disagreement_is_named(file: str, before: str, after: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("pyproject.toml", "CHANGELOG.md", "configs/schema.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    assert any(named in problem for problem in problems(tmp_path))
