"""YAML without its two traps: a key that stands twice, and words that are taken for booleans.

Knows YAML; does not know the configuration.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """YAML's safe subset, refusing a key that stands twice (PyYAML keeps the last in silence), and with the
    booleans of YAML 1.2: `off` is a mode and `no` is a label, not False."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, or an error at the key that stands twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class LastKeyLoader(StrictLoader):
    """As `StrictLoader`, but of a key that stands twice the last counts: for a file whose problems are all
    collected before any is told."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping."""
        return yaml.SafeLoader.construct_mapping(self, node, deep)


def reading_of(text: str, place: Sequence[int | str]) -> str:
    """What YAML made of a plain word that was meant as text, where it stands, and to quote it; empty where
    there is nothing to say.

    Args:
        text: the file, valid YAML.
        place: keys and positions down to the value; names that are no key are passed over. A last part
            `[key]` means the key itself.
    """
    node: yaml.Node | None = yaml.compose(text, Loader=StrictLoader)
    key: yaml.Node | None = None
    for part in place:
        if part == "[key]":
            node = key
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if str(_made_of(pair[0])) == str(part)]
            key, node = found[0] if found else (key, node)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
    made = _made_of(node)
    if not isinstance(node, yaml.ScalarNode) or isinstance(made, str):
        return ""
    at = node.start_mark
    where = f"line {at.line + 1}, column {at.column + 1}"
    if made is None:
        return f"{where}: YAML reads {node.value or 'nothing'} as no value; put a text in quotes"
    return f'{where}: YAML reads {node.value} as {_called(made)}; put it in quotes: "{node.value}"'


def _called(made: object) -> str:
    match made:
        case bool():
            return f"the truth value {str(made).lower()}"
        case int() | float():
            return f"the number {made}"
        case datetime.date():
            return "a date"
        case _:
            return f"a {type(made).__name__}"


def _made_of(node: yaml.Node | None) -> object:
    """What YAML makes of a plain word; None for anything else."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    loader = StrictLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        return node.value
    finally:
        loader.dispose()
