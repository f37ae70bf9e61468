"""`headgate clean`: its table, its rules, and that a dry run removes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from flows.cli.keeping import shown, table
from release.home import Home
from release.keep.plan import Going

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
name: kitchen
heads: {topic: multiclass}
sources: {rows: {path: rows.csv, heads: {topic: topic}}}
keep: {runs: 1}
"""


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "flows.cli.commands", "clean", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_dry_run_says_what_a_clean_removes(tmp_path: Path) -> None:
    config, home = tmp_path / "project.yaml", Home(tmp_path / ".headgate")
    config.write_text(CONFIG)
    for number in range(1, 4):
        run = home.runs / f"2020010{number}T0-00000000"
        run.mkdir()
        (run / "left").write_bytes(b"x" * 1_500_000)
        for path in (run / "left", run):
            os.utime(path, (0, 0))
    dry = command(str(config), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    lines = dry.stdout.splitlines()
    assert lines[0].split() == ["What", "Frees", "Why"] and max(map(len, lines)) <= 80
    assert "2 run folders" in lines[1] and "3.0 MB" in lines[1] and "keep.runs" in dry.stdout
    assert "kitchen: would free 3.0 MB" in lines[-1]
    assert len(list(home.runs.iterdir())) == 3
    assert "20200101T0-00000000" in command(str(config), "--dry-run", "--paths").stdout
    assert "kitchen: freed 3.0 MB" in command(str(config)).stdout
    assert [path.name for path in home.runs.iterdir()] == ["20200103T0-00000000"]
    assert "kitchen: freed 0 B" in command(str(config)).stdout


def test_a_name_that_nobody_knows_is_said(tmp_path: Path) -> None:
    done = command("nobody", "--home", str(tmp_path))
    assert done.returncode == 2 and "nothing was ever deployed as 'nobody'" in done.stderr


def test_the_table_fits_eighty_columns_whatever_goes() -> None:
    long = "500 newer trainings are kept whole (keep.runs); its evidence stays for the audit, and more words"
    going = [
        Going(kind=kind, path=Path("x"), why=long, size=10**size)
        for size, kind in enumerate(
            ("models in the registry", "parts of run folders", "cached work"), start=5
        )
    ]
    lines = table(going)
    assert max(map(len, lines)) <= 80 and " ".join(" ".join(lines).split()).count("keep.runs") == 3
    assert table([]) == []


def test_sizes_are_in_words() -> None:
    assert [shown(n) for n in (0, 999, 1_500, 2_000_000, 10**10)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.0 MB",
        "10.0 GB",
    ]
