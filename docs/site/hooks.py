"""What mkdocs calls while it builds: it makes the reference pages, and names of links out of the docs.

The configuration's page comes from its JSON Schema, the commands' from the command line itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FETCHED = re.compile(r'<script src="https://unpkg\.com/iframe-worker/[^"]*"></script>')
CONFIGURATION = "reference/configuration.md"
COMMANDS = "reference/commands.md"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made of schema and command line."""
    from mkdocs.structure.files import File

    for name, text in ((CONFIGURATION, configuration_page()), (COMMANDS, commands_page())):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files of the repository that are no pages here become their names."""
    return with_names(
        markdown, Path(config["docs_dir"]) / Path(page.file.src_uri).parent, Path(config["docs_dir"])
    )


def on_post_page(output: str, page: Any, config: Any) -> str:
    """The script that lets the search run from files is this project's own, not one of a CDN."""
    return with_own_script(output)


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The same for pages that no text was written for."""
    return with_own_script(output_content)


def with_own_script(output: str) -> str:
    """A page that fetches no script."""
    own = (Path(__file__).with_name("search_from_files.js")).read_text(encoding="utf-8")
    return FETCHED.sub(lambda _: f"<script>{own}</script>", output)


def with_names(markdown: str, folder: Path, docs: Path) -> str:
    """The text, with what is linked outside `docs` as a name in code.

    Args:
        folder: where the text lies.
        docs: the folder of all pages.
    """

    def named(found: re.Match[str]) -> str:
        if ":" in found[2]:
            return found[0]
        target = (folder / found[2]).resolve()
        if target.is_relative_to(docs.resolve()):
            return found[0]
        if target == ROOT / "README.md":
            return found[0].replace(
                found[2], "/".join([".."] * len(folder.relative_to(docs).parts) + ["index.md"])
            )
        return f"{found[1]} (`{target.relative_to(ROOT)}`)" if target.is_relative_to(ROOT) else found[1]

    return LINK.sub(named, markdown)


def configuration_page(schema: Mapping[str, Any] | None = None) -> str:
    """Every field of the configuration: name, type, default, what it does."""
    schema = schema or json.loads((ROOT / "configs" / "schema.json").read_text(encoding="utf-8"))
    return "\n".join(_page(schema))


def _page(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "# Configuration\n"
    yield "Made from `configs/schema.json`, which lets an editor complete and check a file. Each field can be"
    yield "set from outside: `--set train.epochs=5`, or `HEADGATE_TRAIN__EPOCHS=5` in the environment.\n"
    yield "## The file\n"
    yield from _fields(schema, schema)
    for name, part in schema["$defs"].items():
        yield f"\n## {name} {{ #{name.lower()} }}\n"
        yield _line(part.get("description", ""))
        yield ""
        yield from _fields(part, schema)


def _fields(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    if not part.get("properties"):
        return
    needed = set(part.get("required", ()))
    yield "| field | type | default | says |"
    yield "|---|---|---|---|"
    for name, about in part["properties"].items():
        default = "needed" if name in needed else _default(about)
        says = _line(about.get("description", "")).replace("|", r"\|")
        yield f"| `{name}` | {_type(about)} | {default} | {says} |"


def _default(about: Mapping[str, Any]) -> str:
    value = about.get("default")
    text = json.dumps(value, ensure_ascii=False)
    return "" if value in (None, {}, []) else f"`{text}`" if len(text) < 40 else "see its fields"


def _type(about: Mapping[str, Any]) -> str:
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in about:
        return " or ".join(f"`{one}`" for one in about["enum"])
    if "const" in about:
        return f"`{about['const']}`"
    for several in ("anyOf", "oneOf"):
        if several in about:
            kinds = dict.fromkeys(_type(one) for one in about[several] if one.get("type") != "null")
            return " or ".join(kinds)
    if about.get("type") == "array":
        return f"list of {_type(about.get('items', {}))}"
    for key in ("additionalProperties", "patternProperties"):
        if about.get("type") == "object" and isinstance(about.get(key), dict):
            inner = about[key] if key[0] == "a" else next(iter(about[key].values()), {})
            return f"name → {_type(inner)}"
    bounds = [
        f"{sign} {about[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in about
    ]
    return " ".join([str(about.get("type", "any")), *bounds])


def _line(text: str) -> str:
    return " ".join(text.split())


def commands_page() -> str:
    """Every command with its arguments, options and example."""
    from flows.cli.commands import main

    lines = ["# Commands\n", "What they print for programs: [JSON](../json.md).\n"]
    return "\n".join([*lines, *_command(main, "headgate", 2)])


def _command(command: Any, called: str, depth: int) -> Iterator[str]:
    import click

    context = click.Context(command, info_name=called)
    yield f"\n{'#' * depth} {called}\n"
    yield from (f"{' '.join(part.split())}\n" for part in _plain(command.help).split("\n\n"))
    yield f"```text\n{called} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    rows = [record for one in command.get_params(context) if (record := one.get_help_record(context))]
    if rows:
        yield "| option | does |\n|---|---|"
        yield from (f"| `{names}` | {_line(says)} |" for names, says in map(_escaped, rows))
    if command.epilog:
        yield f"\n```console\n$ {_plain(command.epilog).partition('Example:')[2].strip()}\n```"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{called} {name}", min(depth + 1, 4))


def _plain(text: str | None) -> str:
    return (text or "").replace("\b", "")


def _escaped(row: tuple[str, str]) -> tuple[str, str]:
    return row[0].replace("|", " or "), row[1].replace("|", " or ")
