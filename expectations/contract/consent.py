"""Changes that take something away from clients, and the lines of the configuration that consent to them.

A consent is the change that it allows, so each change has one line, and nothing is allowed in general. Knows
words; does not know models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from model.bundle.card import KINDS
from model.errors import HeadgateError

ChangeKind = Literal["head gone", "head renamed", "label gone", "label renamed", "kind", "order"]

FORMS = (
    "drop HEAD",
    "drop HEAD:LABEL",
    "rename HEAD → HEAD",
    "rename HEAD:LABEL → LABEL",
    "kind HEAD KIND → KIND",
    "reorder HEAD",
)
"""How a consent is written. `->` does for `→`; a label that holds an arrow stands in double quotes."""

_ARROW = r"\s*(?:→|->)\s*"
_HEAD = "[a-z0-9_]+"
_KIND = "|".join(KINDS)
_WHOLE = re.compile(rf"(drop|reorder)\s+({_HEAD})")
_HEAD_RENAMED = re.compile(rf"rename\s+({_HEAD}){_ARROW}({_HEAD})")
_KIND_CHANGED = re.compile(rf"kind\s+({_HEAD})\s*:?\s*({_KIND}){_ARROW}({_KIND})")
_OF_LABELS = re.compile(rf"(drop|rename)\s+({_HEAD})\s*:\s*(.+)", re.DOTALL)


class BadConsent(HeadgateError):
    """A line that is to allow a change can't be read; the message has the forms that can."""

    kind = "usage"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that clients lose, or find under another name, in another kind or order."""

    kind: ChangeKind
    head: str
    """The head as it is called now; of one that is gone or renamed, as it was called."""
    before: str = ""
    """The label, or the head's kind, of before; empty where the whole head changes."""
    after: str = ""
    """What it is now; empty where nothing is left of it."""

    @property
    def line(self) -> str:
        """The line that consents to it."""
        match self.kind:
            case "head gone":
                return f"drop {self.head}"
            case "head renamed":
                return f"rename {self.head} → {self.after}"
            case "label gone":
                return f"drop {self.head}:{_quoted(self.before)}"
            case "label renamed":
                return f"rename {self.head}:{_quoted(self.before)} → {_quoted(self.after)}"
            case "kind":
                return f"kind {self.head} {self.before} → {self.after}"
            case "order":
                return f"reorder {self.head}"
            case _:
                assert_never(self.kind)

    @property
    def said(self) -> str:
        """What it means to clients, in one clause."""
        match self.kind:
            case "head gone":
                return f"head `{self.head}` is not answered any more"
            case "head renamed":
                return f"head `{self.head}` is called `{self.after}`"
            case "label gone":
                return f"label `{self.before}` of `{self.head}` is not answered any more"
            case "label renamed":
                return f"label `{self.before}` of `{self.head}` is called `{self.after}`"
            case "kind":
                return f"head `{self.head}` changes from {self.before} to {self.after}"
            case "order":
                return f"the labels of `{self.head}` stand in another order"
            case _:
                assert_never(self.kind)

    def reversed(self) -> Change:
        """Of a renaming, the way back."""
        if self.kind == "head renamed":
            return Change(self.kind, self.after, after=self.head)
        return Change(self.kind, self.head, self.after, self.before)


RENAMINGS: tuple[ChangeKind, ...] = ("head renamed", "label renamed")


def parse_consent(text: str) -> Change:
    """The change that a line allows.

    Raises:
        BadConsent: it has none of the `FORMS`.
    """
    line = text.strip()
    if found := _WHOLE.fullmatch(line):
        return Change("head gone" if found[1] == "drop" else "order", found[2])
    if found := _HEAD_RENAMED.fullmatch(line):
        return _changing(text, Change("head renamed", found[1], after=found[2]), found[1])
    if found := _KIND_CHANGED.fullmatch(line):
        return _changing(text, Change("kind", found[1], found[2], found[3]), found[2])
    if found := _OF_LABELS.fullmatch(line):
        names = list(_labels(found[3]))
        if not all(names):
            raise BadConsent(_expected(text))
        if found[1] == "drop" and len(names) == 1:
            return Change("label gone", found[2], names[0])
        if found[1] == "rename" and len(names) == 2:
            return _changing(text, Change("label renamed", found[2], *names), names[0])
    raise BadConsent(_expected(text))


def consents_of(lines: Iterable[str]) -> tuple[Change, ...]:
    """The changes that lines of the configuration allow, in their order.

    Raises:
        BadConsent: one can't be read.
    """
    return tuple(parse_consent(line) for line in lines)


def consent_problems(lines: Iterable[str]) -> Iterator[str]:
    """What is wrong with the lines of `gates.contract.allow`, one sentence each."""
    for number, line in enumerate(lines):
        try:
            parse_consent(line)
        except BadConsent as error:
            yield f"gates.contract.allow[{number}]: {error}"


def signed_consents(configuration: Mapping[str, Any], gone: Iterable[str] = ()) -> tuple[Change, ...]:
    """What the configuration that is signed with a version allowed when it was judged.

    Args:
        gone: heads that it does not answer any more: a record of Headgate 0.1 may have allowed all of them
            (`allow_dropped_heads`).

    Raises:
        BadConsent: a newer Headgate wrote a form that this one does not know.
    """
    gates = configuration.get("gates") or {}
    lines = (gates.get("contract") or {}).get("allow") or ()
    all_heads = gone if gates.get("allow_dropped_heads") else ()
    return (*consents_of(lines), *(Change("head gone", head) for head in all_heads))


def _changing(text: str, change: Change, before: str) -> Change:
    if before == change.after:
        raise BadConsent(f"saw {json.dumps(text, ensure_ascii=False)}, which changes nothing")
    return change


def _expected(text: str) -> str:
    arrow = "; a label that holds an arrow stands in double quotes" if re.search(_ARROW, text) else ""
    return f"saw {json.dumps(text, ensure_ascii=False)}, expected one of: {'; '.join(FORMS)}{arrow}"


def _quoted(label: str) -> str:
    """A label as a consent holds it: in quotes where it could be read as something else."""
    plain = label and label == label.strip() and label.isprintable() and label[0] != '"'
    if plain and "→" not in label and "->" not in label:
        return label
    if label.isprintable():
        return json.dumps(label, ensure_ascii=False)
    return json.dumps(label).replace("\x7f", "\\u007f")  # written out, so that a terminal shows it as it is


def _labels(text: str) -> Iterator[str]:
    """Names with arrows between them; names in double quotes may hold arrows."""
    while True:
        if text.startswith('"'):
            try:
                name, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                raise BadConsent(f"saw {text}, expected a closing double quote") from None
        else:
            found = re.search(_ARROW, text)
            end = found.start() if found else len(text)
            name = text[:end]
        yield name
        arrow = re.match(_ARROW, text[end:])
        if arrow is None:
            if text[end:].strip():
                raise BadConsent(f"saw {text[end:]} behind a label in quotes, expected an arrow or nothing")
            return
        text = text[end + arrow.end() :]
