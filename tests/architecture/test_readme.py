"""The README says what is so: its commands exist, and the automatic check runs the first ones."""

from __future__ import annotations

import re
from pathlib import Path

from flows.cli.commands import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"headgate ([a-z]+)", README))
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
