"""Where a field stands in the file: line and column, both from 1.

Knows YAML; does not know the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from flows.config.strict_yaml import StrictLoader

_FIELD = re.compile(r"([^:\s][^:]*?): ")
_KNOWS_PLACE = re.compile(r"line \d+, column \d+")


def tree_of(text: str) -> yaml.Node | None:
    """The file as nodes with their places; None where it is no YAML."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=StrictLoader)
    except yaml.YAMLError:
        return None
    return node


def keys_twice(node: yaml.Node | None) -> Iterator[str]:
    """Keys that stand twice in one mapping, each with its place."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from keys_twice(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, yaml.Mark] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen and key.value != "<<":
                first = seen[key.value].line + 1
                yield f"{_at(key)}: the key {key.value!r} stands twice, first in line {first}; remove one"
            seen.setdefault(key.value, key.start_mark)
        yield from keys_twice(value)


def with_place(problem: str, tree: yaml.Node | None) -> str:
    """A problem that begins with a field, and where that field stands in the file."""
    field = _FIELD.match(problem)
    if tree is None or field is None or _KNOWS_PLACE.search(problem):
        return problem
    found = _find(tree, re.sub(r"\[(\d+)\]", r".\1", field.group(1)), value="saw " in problem)
    return problem if found is None else f"{problem} ({_at(found)})"


def _find(node: yaml.Node, field: str, *, value: bool) -> yaml.Node | None:
    """The node that a field with dots leads to, or the last one on the way; None where there is none."""
    best: yaml.Node | None = None
    while field:
        if isinstance(node, yaml.MappingNode):
            # Keys may hold dots themselves: the longest that fits.
            fits = [pair for pair in node.value if _begins(field, str(pair[0].value))]
            if not fits:
                break
            key, node = max(fits, key=lambda pair: len(str(pair[0].value)))
            field = field[len(str(key.value)) + 1 :]
            best = node if value and not field and isinstance(node, yaml.ScalarNode) else key
        elif isinstance(node, yaml.SequenceNode):
            number, _, field = field.partition(".")
            if not number.isdigit() or int(number) >= len(node.value):
                break
            best = node = node.value[int(number)]
        else:
            break
    return best


def _begins(field: str, key: str) -> bool:
    return field == key or field.startswith(f"{key}.")


def _at(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"
