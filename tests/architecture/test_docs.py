"""The docs say what is so: links lead somewhere, commands and settings exist, the site is built of them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click import Context, UsageError

from flows.cli.commands import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts)
EVERY = [ROOT / "README.md", *PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
SCHEMA = json.loads((ROOT / "configs" / "schema.json").read_text(encoding="utf-8"))
MADE = ("reference/configuration.md", "reference/commands.md")


def hooks() -> Any:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "site" / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", EVERY, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link, anchor in re.findall(r"\]\(([^)\s#]*)(#[^)\s]*)?\)", text):
        if ":" in link or link.removeprefix("../") in MADE:
            continue
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), f"{name(page)}: {link} is not there"
        if anchor and target.suffix == ".md":
            assert anchor[1:] in anchors(target), f"{name(page)}: {link}{anchor}"


def shown_commands() -> list[tuple[str, str]]:
    """(Page, command) of every `headgate …` that is shown: behind a `$`, or in code in a sentence."""
    found = []
    for page in (ROOT / "README.md", *PAGES):
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r"^\$ ((?:\.venv/bin/)?headgate .*)$", text, flags=re.MULTILINE)
        shown += re.findall(r"`(headgate [a-z-]+[^`\n]*)`", text)
        found += [(name(page), command) for command in dict.fromkeys(shown)]
    return found


@pytest.mark.parametrize(("page", "command"), shown_commands())
def test_a_shown_command_is_one_that_the_command_line_takes(page: str, command: str) -> None:
    """Arguments and options are parsed, nothing is run. `[--option]` may be left out, `…` stands for more."""
    line = re.split(r"\s+#\s| [|<>&] | \|\|", command.removeprefix(".venv/bin/"))[0]
    line = re.sub(r" VERSION\b", " 7", re.sub(r"(--[a-z-]+ )…", r"\1x", line))
    words = shlex.split(re.sub(r"\s*\[[^\]]*\]|…", "", line))[1:]
    inner: Any = main
    while words and hasattr(inner, "commands"):
        assert words[0] in inner.commands, f"{page}: {command}: no command {words[0]}"
        inner, words = inner.commands[words[0]], words[1:]
    if words:  # a command that is named alone takes arguments that are not shown
        try:
            inner.parse_args(Context(inner), list(words))
        except UsageError as error:
            missing = "Missing argument" in error.format_message() or "does not exist" in str(error)
            assert missing, f"{page}: {command}: {error.format_message()}"


def test_the_index_has_every_decision_in_its_order_under_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d+)\]\(([^)]+)\) \| (.+) \|$", index, flags=re.MULTILINE)
    assert [file for _, file, _ in rows] == sorted(path.name for path in folder.glob("0*.md"))
    for number, file, called in rows:
        title = (folder / file).read_text(encoding="utf-8").partition("\n")[0]
        seen = title.removeprefix(f"# {number}. ")
        assert called.startswith(seen) and seen != title, f"{file}: {title!r} is called {called!r}"


def fields(part: dict[str, Any], prefix: str = "", depth: int = 0) -> set[str]:
    found = set()
    for field, about in part.get("properties", {}).items():
        found.add(prefix + field)
        ref = about.get("$ref") or next(
            (one["$ref"] for one in about.get("anyOf", ()) if "$ref" in one), None
        )
        if ref and depth < 3:
            found |= fields(SCHEMA["$defs"][ref.rpartition("/")[2]], f"{prefix}{field}.", depth + 1)
    return found


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = fields(SCHEMA)
    sections = (
        "backbone|split|train|package|expectations|label_check|gates|registry|deploy|schedule|runner|keep"
    )
    for setting in re.findall(rf"`((?:{sections})\.[a-z0-9_]+)\b", page.read_text(encoding="utf-8")):
        assert setting in known, f"{name(page)}: no setting {setting}"


def test_the_reference_has_every_field_and_every_command() -> None:
    made = hooks()
    page, commands = made.configuration_page(), made.commands_page()
    for part in (SCHEMA, *SCHEMA["$defs"].values()):
        for field in part.get("properties", {}):
            assert f"| `{field}` |" in page, field
    assert all(f"## headgate {command}\n" in commands for command in main.commands)
    assert "--override" in commands and "Sentinel" not in commands


def test_a_link_out_of_the_docs_becomes_a_name() -> None:
    docs = ROOT / "docs"
    named = hooks().with_names("[the unit](../../deploy/headgate.service)", docs / "howto", docs)
    assert named == "the unit (`deploy/headgate.service`)"
    kept = "[keys](../keys.md#a) [site](https://example.org)"
    assert hooks().with_names(kept, docs / "howto", docs) == kept


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert tmp_path / "reference" / "configuration.html" in pages
    for page in pages:
        html = page.read_text(encoding="utf-8")
        assert not re.search(r"""(src|<link[^>]*href)=["']?(https?:)?//""", html), page
