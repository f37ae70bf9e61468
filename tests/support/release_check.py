"""Whether a release can be made: version, changelog and schema agree.

python -m tests.support.release_check
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^## (?P<version>[0-9]+\.[0-9]+\.[0-9]+) \((?P<date>[0-9-]+)\)$", re.MULTILINE)


def problems(root: Path = ROOT) -> list[str]:
    """What has to be put right before a release, one line each."""
    from flows.config.load import json_schema

    found = []
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    sections = list(HEADING.finditer((root / "CHANGELOG.md").read_text(encoding="utf-8")))
    if not sections or sections[0]["version"] != version:
        seen = sections[0]["version"] if sections else "no dated section"
        found.append(f"CHANGELOG.md: its newest section is {seen}, expected {version} as in pyproject.toml")
    dates = []
    for section in sections:
        try:
            dates.append(date.fromisoformat(section["date"]))
        except ValueError:
            found.append(f"CHANGELOG.md: {section['version']}: {section['date']} is no date (YYYY-MM-DD)")
    if dates != sorted(dates, reverse=True):
        found.append("CHANGELOG.md: the sections are not in order of their dates, newest first")
    versions = [tuple(map(int, section["version"].split("."))) for section in sections]
    if versions != sorted(set(versions), reverse=True):
        found.append("CHANGELOG.md: the versions do not fall, or one stands twice")
    if json.loads((root / "configs" / "schema.json").read_text(encoding="utf-8")) != json_schema():
        found.append("configs/schema.json: not today's schema; run: headgate schema > configs/schema.json")
    return found


def main() -> int:
    """Print what is wrong; 0 if nothing is."""
    found = problems()
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    sys.stdout.write("version, changelog and schema agree\n" if not found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
