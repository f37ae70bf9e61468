"""The README says what is so: its commands exist, and the automatic check runs the first ones."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.commands import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"headgate ([a-z]+(?:-[a-z]+)*)", README))
    assert named >= {"retrain", "validate", "predict", "serve", "stop", "status", "rollback", "schema"}
    assert named <= set(main.commands), f"no such command: {named - set(main.commands)}"


def test_every_make_target_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"(?:[$] |`)make ([a-z-]+)", README)) <= targets


def test_the_first_commands_of_the_readme_are_run_on_every_change() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("make run", "make test", "headgate predict quickstart", "headgate status", "make stop"):
        assert command in README and command in run, command


def test_every_command_has_help_with_an_example() -> None:
    for name, command in main.commands.items():
        assert command.help, name
        assert command.epilog and f"headgate {name}" in command.epilog, name


def test_every_file_that_the_readme_links_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_configuration_that_the_readme_names_is_there() -> None:
    for config in re.findall(r"configs/[a-z_]+\.yaml", README):
        assert (ROOT / config).is_file(), config


PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")


def shown_commands() -> list[tuple[str, str]]:
    """(Page, command) of every line that a page shows with a `$` before it."""
    found = []
    for page in PAGES:
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            if line.startswith("$ "):
                found.append((page, line[2:].split("   #")[0].split("  #")[0].strip().rstrip("&").strip()))
    return found


@pytest.mark.parametrize(("page", "command"), shown_commands())
def test_a_shown_command_can_be_run(page: str, command: str) -> None:
    """Each command is run in a form that costs nothing: its help, or make's list of what it would do."""
    words = shlex.split(command)
    program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "export":
        assert all("=" in word for word in rest), command
        return
    if program == "make":
        done = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    if program == "headgate":
        assert CliRunner().invoke(main, [rest[0], "--help"]).exit_code == 0, command
    elif program == "python":
        assert rest[0] == "-m", command
        if rest[1] != "pytest":
            call = [sys.executable, "-m", rest[1], "--help"]
            done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
    elif program == "curl":
        [address] = [word for word in rest if word.startswith("http://127.0.0.1:8808/")]
        assert address.endswith("/predict") and json.loads(rest[-1])["texts"], command
    else:
        assert program == "prefect", f"{page}: {command}: what is {program}?"
        named = [word for word in rest if not word.startswith("-")]
        call = [sys.executable, "-m", "prefect", *named[: 1 if named[0] == "deploy" else 2], "--help"]
        done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    for word in rest:
        if re.fullmatch(r"(configs|tests|docs|benchmarks)/[\w./-]+", word):
            assert (ROOT / word).exists() or ">" in rest, f"{page}: {command}: {word} is not there"


@pytest.mark.parametrize(
    "page", ["docs/architecture.md", "CONTRIBUTING.md", "README.md", "benchmarks/README.md"]
)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    rooms = "flows|tasks|report|release|sources|expectations|serving|model|tests|benchmarks|configs|docs"
    for path in re.findall(rf"`((?:{rooms})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), f"{page} names {path}"
