"""What is said about doubtful labels: one sentence a head and rule, with places and a line to paste.

Knows labels and places, never texts. Does not judge: `expectations.data` compares shares with tolerances.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from model.errors import places
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
    several: bool = False
    """Whether the head is multilabel already."""

    @property
    def where(self) -> str:
        """How many rows, and where the first of them stand: the subject of a sentence."""
        rows = "row" if self.rows == 1 else "rows"
        return f"{self.rows:,} {rows} of `{self.head}` (first {places(self.places)})"

    @property
    def listed(self) -> str:
        """What says that a label is as meant."""
        return f"`heads.{self.head}.labels`"

    @property
    def named(self) -> str:
        """The first labels."""
        more = f" and {len(self.labels) - MAX_NAMED:,} more" if len(self.labels) > MAX_NAMED else ""
        return ", ".join(map(quoted, self.labels[:MAX_NAMED])) + more

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
        f"{seen.where} had blanks at the ends of their labels, which were removed, so that a label with and "
        "one without them are one: `expectations.labels_stripped.tolerance: 0` would refuse them"
    )


def _numbers(seen: Seen) -> str:
    pairs = ", ".join(f"{quoted(label)} as {quoted(seen.why[label])}" for label in seen.labels[:MAX_NAMED])
    return (
        f"{seen.where} held whole numbers written as floats, read as integers ({pairs}): if both are labels, "
        f"list them in {seen.listed}"
    )


def _empty(seen: Seen) -> str:
    return (
        f"{seen.where} held empty lists, read as unlabelled, since a multiclass head has exactly one label: "
        "name it in the file, or refuse them by `expectations.empty_lists.tolerance: 0`"
    )


def _choices(seen: Seen) -> str:
    return (
        f'{seen.where} held cells such as {{"choices": […]}}, which were read as lists of labels: '
        "`expectations.choices_read.tolerance: 0` would refuse them"
    )


def _joined(seen: Seen) -> str:
    separators = sorted({seen.why[label] for label in seen.labels}, key=list(seen.why.values()).index)
    line = seen.paste(encoding="separator", separator=separators[0])
    kind = "" if seen.several else " with `kind: multilabel`"
    return (
        f"{seen.where} hold what looks like labels joined by {quoted(separators[0])} ({seen.named}): paste "
        f"{line}{kind}, or list them in {seen.listed}"
    )


def _missing(seen: Seen) -> str:
    words = tuple(dict.fromkeys((*seen.target.missing, *seen.labels)))
    return (
        f"{seen.where} hold what looks like a word for a missing label ({seen.named}), which would be a "
        f"class: paste {seen.paste(missing=words)}, or list it in {seen.listed}"
    )


def _clean(seen: Seen) -> str:
    first = seen.labels[0]
    unquoted = any(label.startswith('"') for label in seen.labels)
    advice = f"set `sources.{seen.source}.quoting: true`, or " if unquoted else ""
    names = {label: cleaned(label) for label in seen.labels[:MAX_MAPPED]}
    return (
        f"{seen.where} hold labels with what another tool left in them ({seen.named}: the first "
        f"{seen.why[first]}): {advice}paste {seen.paste(map={**seen.target.map, **names})}, or list them in "
        f"{seen.listed}"
    )


def _alike(seen: Seen) -> str:
    pairs = ", ".join(f"{label!a} like {seen.why[label]!a}" for label in seen.labels[:MAX_NAMED])
    names = {label: seen.why[label] for label in seen.labels[:MAX_MAPPED]}
    return (
        f"{seen.where} hold labels that hardly differ and are usually one ({pairs}): paste "
        f"{seen.paste(map={**seen.target.map, **names})}, or list both in {seen.listed}"
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
