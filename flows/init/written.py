"""The text of a configuration with a comment beside each line that was guessed.

Knows what was found; does not look at files.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flows.init.margins import Margin
from flows.init.recipe import Recipe
from sources.labels.advice import flow_yaml, pasted
from sources.look.columns import Column
from sources.look.file import LookedAt
from sources.look.heads import Found, FoundHead
from sources.spec import SourceSpec, TargetSpec

MOST_SHOWN = 6
"""Labels that a comment names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is written."""

    name: str
    file: Path
    found: Found
    margins: Mapping[str, Margin]
    recipe: Recipe
    validation: float | None
    """Share of validation rows, where the default leaves too few."""
    port: int


def yaml_text(draft: Draft) -> str:
    """The configuration."""
    parts = [_top(draft), _heads(draft.found), _sources(draft.found)]
    parts += [_split(draft), _train(draft.recipe), _gates(draft.margins), _deploy(draft.port)]
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def _top(draft: Draft) -> Iterator[str]:
    yield "# Written by `headgate init`, which guessed it from the files. Look it over, then run:"
    yield f"#   headgate check {draft.file.name}"
    yield f"#   headgate retrain {draft.file.name}"
    yield f"name: {draft.name}"
    yield ""
    yield "# The encoder that all heads share. `offline` comes with Headgate: English, 22.7 million"
    yield "# parameters. Others by their name on the hub, such as distilbert-base-uncased or, for other"
    yield "# languages, distilbert-base-multilingual-cased."
    yield "backbone: offline"


def _heads(found: Found) -> Iterator[str]:
    yield "# The questions. multiclass: exactly one label; multilabel: any number of labels, also none."
    yield "heads:"
    for name, head in found.heads.items():
        yield f"  {name}: {head.kind}  # {_labels(head)}"


def _labels(head: FoundHead) -> str:
    counts = sorted(head.labels.items(), key=lambda one: -one[1])
    shown = ", ".join(f"{_plain(label)} {rows:,}" for label, rows in counts[:MOST_SHOWN])
    more = len(counts) - MOST_SHOWN
    return f"{len(counts)} labels: {shown}" + (f" and {more:,} more" if more > 0 else "")


def _plain(label: str) -> str:
    """A label within a comment: on one line, cut where it is long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in label).split())
    return line if len(line) <= 30 else f"{line[:29]}…"


def _sources(found: Found) -> Iterator[str]:
    yield "sources:"
    for name, spec in found.sources.items():
        files = found.looked[name]
        yield f"  {name}:"
        if isinstance(spec.path, dict):
            yield "    path:"
            for (split, path), file in zip(spec.path.items(), files, strict=True):
                yield f"      {split}: {_path(path)}  # {_rows(file)}"
        else:
            yield f"    path: {_path(str(spec.path))}  # {_rows(files[0])}"
        for field in ("format", "sheet", "encoding", "delimiter", "header", "names"):
            if field in files[0].peeked.declared:
                yield f"    {field}: {flow_yaml(getattr(spec, field))}"
        if not files[0].peeked.is_export:
            yield f"    text: {flow_yaml(spec.text)}"
        if spec.split_column is not None:
            yield f"    split_column: {flow_yaml(spec.split_column)}"
        if spec.split_map:
            yield f"    split_map: {flow_yaml(dict(spec.split_map))}"
        yield "    heads:"
        for head, target in spec.targets.items():
            yield f"      {head}: {_target(target)}{_why(target)}"
        yield from _others(files[0], spec)


def _rows(file: LookedAt) -> str:
    return f"{file.rows:,} row{'s' if file.rows != 1 else ''}"


def _path(path: str) -> str:
    return path if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", path) else flow_yaml(path)


def _target(target: TargetSpec) -> str:
    plain = all(
        getattr(target, one.name) == getattr(TargetSpec(), one.name)
        for one in fields(TargetSpec)
        if one.name != "column"
    )
    return flow_yaml(target.column) if plain else pasted(target)


def _why(target: TargetSpec) -> str:
    """What an empty cell is taken for, where it matters."""
    if target.empty_means_none:
        return "  # an empty cell: no label applies"
    return "  # an empty cell: unlabelled" if target.encoding in ("separator", "letters") else ""


def _others(file: LookedAt, spec: SourceSpec) -> Iterator[str]:
    """Columns that are not used, and why."""
    used = {column for target in spec.targets.values() for column in target.source_columns}
    for column in file.columns:
        if column.role == "group":
            yield f"    # All rows of one {_plain(column.name)} ({column.why}) stay in one split with:"
            yield f"    # group: {flow_yaml(column.name)}"
    unused = [c for c in file.columns if c.role == "unused" and c.name not in used]
    if unused:
        said = f"Not used: {', '.join(_reason(column) for column in unused)}"
        yield from textwrap.wrap(said, 96, initial_indent="    # ", subsequent_indent="    #   ")


def _reason(column: Column) -> str:
    return f"{_plain(column.name)} ({column.why})"


def _split(draft: Draft) -> Iterator[str]:
    changes: dict[str, Any] = {}
    if draft.validation is not None:
        changes["validation"] = draft.validation
    if draft.found.union:
        yield "# Texts that stand in several rows have all labels of these rows."
        changes["conflicts"] = "union"
    if changes:
        yield "split:"
        for field, value in changes.items():
            comment = "  # few rows: 20 a head are the least" if field == "validation" else ""
            yield f"  {field}: {value}{comment}"


def _train(recipe: Recipe) -> Iterator[str]:
    yield "train:"
    yield f"  epochs: {recipe.epochs}"
    yield f"  max_length: {recipe.max_length}  # tokens; about 99 of 100 texts are shorter"
    if recipe.small:
        yield "  # Few rows give few steps: smaller batches and higher rates than the defaults."
        yield "  batch_rows: 16"
        yield "  learning_rate: 2.0e-4"
        yield "  head_learning_rate: 3.0e-3"


def _gates(margins: Mapping[str, Margin]) -> Iterator[str]:
    yield "gates:"
    yield "  # How much worse than a model of its own a head may be, in units of its metric. With too few"
    yield "  # test rows for its margin, a model as good as its baseline ends inconclusive."
    if len(margins) == 1:
        [one] = margins.values()
        yield f"  margin: {one.margin:g}  # {one.comment}"
    else:
        yield "  margins:"
        for head, one in margins.items():
            yield f"    {head}: {one.margin:g}  # {one.comment}"
    widest = max(one.margin for one in margins.values())
    yield f"  champion_margin: {widest:g}  # likewise, against the model that serves"


def _deploy(port: int) -> Iterator[str]:
    yield "deploy:"
    yield f"  port: {port}  # on this machine only (127.0.0.1)"


def summary(draft: Draft) -> Sequence[str]:
    """What was found, for the terminal."""
    lines = []
    for name, head in draft.found.heads.items():
        lines.append(f"head {name}: {head.kind}, {_labels(head)}")
        margin = draft.margins[name]
        lines.append(f"  margin {margin.margin:g}: {margin.comment}")
    return lines
