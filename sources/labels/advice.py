"""What is said about doubtful labels: one sentence a head and rule, with places and a line to paste.

Knows labels and places, never texts. Does not judge: `expectations.data` compares shares with tolerances.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from sources.errors import quoted
from sources.labels.doubts import cleaned
from sources.spec import TargetSpec

MAX_NAMED = 3
"""Labels and places named in one sentence."""
MAX_MAPPED = 20
"""Labels in a `map` that is ready to paste."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*[A-Za-z0-9_]|[A-Za-z_]")
_TAKEN = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"])


def flow_yaml(value: object) -> str:
    """A value in YAML on one line, ready to paste: words plain, everything else in double quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow_yaml(k)}: {flow_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow_yaml, value))}]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.casefold() not in _TAKEN
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def pasted(target: TargetSpec, **changes: Any) -> str:
    """The target's declaration with some fields changed, as it would stand in the configuration."""
    kept: dict[str, Any] = {}
    for one in fields(target):
        value = changes.get(one.name, getattr(target, one.name))
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if value != default:
            kept[one.name] = value
    return flow_yaml(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Rows of one head that one rule is about."""

    head: str
    rows: int
    labels: Sequence[str]
    """The doubtful labels, the commonest first."""
    why: Mapping[str, str]
    """Label → what was seen of it (`sources.labels.doubts.LabelDoubts.why`)."""
    places: Sequence[tuple[str, int]]
    """File and line of the first rows."""
    source: str
    """Source of the first row."""
    target: TargetSpec
    """How that source declares the head."""

    @property
    def where(self) -> str:
        """How many rows, and where the first of them stand."""
        places = ", ".join(f"{Path(file).name}:{line}" for file, line in self.places[:MAX_NAMED])
        return f"{self.rows:,} {'row' if self.rows == 1 else 'rows'} of `{self.head}`, first {places}"

    @property
    def named(self) -> str:
        """The first labels."""
        more = f" and {len(self.labels) - MAX_NAMED:,} more" if len(self.labels) > MAX_NAMED else ""
        return ", ".join(map(quoted, self.labels[:MAX_NAMED])) + more

    @property
    def looks(self) -> str:
        """The verb for the labels named."""
        return "looks" if len(self.labels) == 1 else "look"

    def paste(self, **changes: Any) -> str:
        """The line of the configuration with some fields changed."""
        return f"`sources.{self.source}.heads.{self.head}: {pasted(self.target, **changes)}`"


def sentence(rule: str, seen: Seen) -> str:
    """What was seen and what to do, for one rule of `sources.labels.doubts.DOUBTS`.

    Raises:
        KeyError: there is no such rule.
    """
    return _SENTENCES[rule](seen)


def _stripped(seen: Seen) -> str:
    return (
        f"blanks at the ends of labels were removed ({seen.where}), so that a label with and one without "
        "them are one"
    )


def _numbers(seen: Seen) -> str:
    pairs = ", ".join(f"{quoted(label)} as {quoted(seen.why[label])}" for label in seen.labels[:MAX_NAMED])
    return (
        f"whole numbers written as floats were read as integers: {pairs} ({seen.where}); if they are labels "
        "of their own, list both in the head's `labels`"
    )


def _empty(seen: Seen) -> str:
    return (
        f"empty lists were read as unlabelled ({seen.where}), since a multiclass head has exactly one label; "
        "if they mean a label of their own, name it in the file"
    )


def _choices(seen: Seen) -> str:
    return f'cells such as {{"choices": […]}} were read as lists of labels ({seen.where})'


def _joined(seen: Seen) -> str:
    separators = sorted({seen.why[label] for label in seen.labels}, key=list(seen.why.values()).index)
    line = seen.paste(encoding="separator", separator=separators[0])
    return (
        f"{seen.named} {seen.looks} like several labels joined by {quoted(separators[0])} ({seen.where}): "
        f"paste {line} (with `kind: multilabel`), or list them in the head's `labels` if each is one label"
    )


def _missing(seen: Seen) -> str:
    words = tuple(dict.fromkeys((*seen.target.missing, *seen.labels)))
    return (
        f"{seen.named} {seen.looks} like a word for a missing label ({seen.where}), and would be a class: "
        f"paste {seen.paste(missing=words)}, or list them in the head's `labels` if they are labels"
    )


def _clean(seen: Seen) -> str:
    first = seen.labels[0]
    unquoted = any(label.startswith('"') for label in seen.labels)
    advice = f"set `sources.{seen.source}.quoting: true`, or " if unquoted else ""
    names = {label: cleaned(label) for label in seen.labels[:MAX_MAPPED]}
    return (
        f"the label {quoted(first)} {seen.why[first]}, as other tools leave it ({seen.named}; {seen.where}): "
        f"{advice}paste {seen.paste(map={**seen.target.map, **names})}, or list it in the head's `labels` "
        "if it is as meant"
    )


def _alike(seen: Seen) -> str:
    pairs = ", ".join(f"{label!a} like {seen.why[label]!a}" for label in seen.labels[:MAX_NAMED])
    names = {label: seen.why[label] for label in seen.labels[:MAX_MAPPED]}
    return (
        f"labels that hardly differ are usually one: {pairs} ({seen.where}): paste "
        f"{seen.paste(map={**seen.target.map, **names})}, or list both in the head's `labels`"
    )


_SENTENCES = {
    "labels_stripped": _stripped,
    "number_spellings": _numbers,
    "empty_lists": _empty,
    "choices_read": _choices,
    "joined_labels": _joined,
    "missing_words": _missing,
    "clean_labels": _clean,
    "look_alike_labels": _alike,
}
