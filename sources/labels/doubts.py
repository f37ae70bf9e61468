"""Which labels of a head may not be what their author meant, judged by the labels alone.

A *doubt* has a rule (a field of `expectations.spec.DataRules`) and concerns some rows. Some are certain
readings, done and counted; the others change nothing and are remarked on. Labels that the head lists are
never in doubt. Pure: does not know files or rows.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from model.bundle.texts import WHITE_SPACE
from sources.merge.identity import look_alike_labels

DOUBTS = (
    *("labels_stripped", "number_spellings", "empty_lists", "choices_read"),
    *("joined_labels", "missing_words", "clean_labels", "look_alike_labels"),
)
"""Rules of the doubts: the first line are certain readings. A row's doubts are the sum of their `BIT`s."""
BIT = {rule: 1 << at for at, rule in enumerate(DOUBTS)}

SEPARATORS = "#;,/|\n\t+&"
"""What may stand between labels that were joined into one; a blank counts only between whole labels."""
RARE_IN_LABELS = "#;|\n\t"
"""Separators of which one known piece is enough."""

# fmt: off
MISSING_WORDS = frozenset((
    "nan", "null", "none", "nil", "nat", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>", "<none>",
    "<null>", "(null)", "(none)", "\\n", "-", "--", "---", "–", "—", "?", "??", "???", ".", "...", "_",
    "undefined", "unlabelled", "unlabeled", "tbd", "#null!", "#value!", "#ref!",
))
# fmt: on
"""Words, in lower case, that other tools write where there is no label."""

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_FRACTION = re.compile(r"-?[0-9]*\.[0-9]*[1-9][0-9]*")
_NATURAL = re.compile(r"0|[1-9][0-9]*")
_MISREAD = re.compile("[ÃÂ][\x80-\xbf\u0152-\u0192\u02c6-\u2122]|â€|\ufffd|[\x00-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_QUOTED = re.compile(r"""(["'`]).*\1|[“„«‘].*[”“»’]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LabelDoubts:
    """What is doubtful about the labels of one head."""

    same: Mapping[str, str] = field(default_factory=dict)
    """Label as read → the label that it is: another spelling of one number."""
    why: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Rule → label → what was seen of it: the separator, the other spelling, the kind of dirt."""

    def bits(self, labels: Collection[str]) -> int:
        """The doubts of a row with these labels."""
        return sum(BIT[rule] for rule, doubtful in self.why.items() if any(x in doubtful for x in labels))


def doubts_of(
    rows: Mapping[str, int], listed: Collection[str], *, several: bool, declared: Collection[str] = ()
) -> LabelDoubts:
    """The doubts about labels.

    Args:
        rows: label → rows in which it applies.
        listed: labels that the head lists, which are as meant.
        several: whether the head is multilabel.
        declared: separators that some source of the head declares.
    """
    same = number_spellings(rows, listed)
    merged: Counter[str] = Counter()
    for label, count in rows.items():
        merged[same.get(label, label)] += count
    others = [label for label in merged if label not in listed]
    missing = {label: "" for label in others if label.casefold() in MISSING_WORDS}
    if "-1" in others and all(_NATURAL.fullmatch(label) for label in merged if label != "-1"):
        missing["-1"] = ""
    why = {
        "number_spellings": {label: whole for label, whole in same.items()},
        "joined_labels": {
            **joined_labels(merged, listed, several=several),
            **_joined_as_elsewhere(merged, listed, declared),
        },
        "missing_words": missing,
        "clean_labels": {label: dirt for label in others if (dirt := _dirt(label))},
        "look_alike_labels": dict(_look_alikes(merged, listed)),
    }
    return LabelDoubts(same=same, why={rule: found for rule, found in why.items() if found})


def whole_number(label: str) -> str | None:
    """`5` for `5.0`; None for what is no whole number written with a fraction."""
    found = _WHOLE.fullmatch(label)
    return found.group(1) if found else None


def number_spellings(labels: Collection[str], listed: Collection[str]) -> dict[str, str]:
    """`5.0` → `5` where both occur: a table that holds a gap writes integers as floats. Labels with a
    fraction beside them (versions, measures) leave it open, and nothing is joined."""
    if any(_FRACTION.fullmatch(label) for label in labels):
        return {}
    return {
        label: whole
        for label in labels
        if label not in listed and (whole := whole_number(label)) is not None and whole in labels
    }


def joined_labels(
    labels: Collection[str], listed: Collection[str] = (), *, several: bool = True
) -> dict[str, str]:
    """Label → separator, for labels that look like several others of the head in one.

    All pieces are labels; or pieces stand in several such labels, one of them now first and now later, which
    a hierarchy (`animal/dog`) never does. Where a separator joins some labels, one known piece is enough for
    the others; so it is for separators that labels hardly ever hold.
    """
    known, found = set(labels) | set(listed), dict[str, str]()
    for separator in SEPARATORS + (" " if several else ""):
        split = {
            label: pieces
            for label in labels
            if label not in listed and separator in label and (pieces := _pieces(label, separator))
        }
        used = Counter(piece for pieces in split.values() for piece in set(pieces))
        moves = {pieces[0] for pieces in split.values()} & {
            p for pieces in split.values() for p in pieces[1:]
        }
        joins = {label for label, pieces in split.items() if all(piece in known for piece in pieces)}
        if separator != " ":
            joins |= {
                label
                for label, pieces in split.items()
                if moves & set(pieces) and all(piece in known or used[piece] > 1 for piece in pieces)
            }
            if joins or separator in RARE_IN_LABELS:
                joins |= {label for label, pieces in split.items() if any(piece in known for piece in pieces)}
        for label in joins:
            found.setdefault(label, separator)
    return found


def _joined_as_elsewhere(
    labels: Collection[str], listed: Collection[str], declared: Collection[str]
) -> dict[str, str]:
    """Label → separator that another source of the head declares, for labels that hold it: there it would
    stand between two labels, whether these are known or not."""
    return {
        label: separator
        for separator in sorted(declared)
        for label in labels
        if label not in listed and _pieces(label, separator)
    }


def _pieces(label: str, separator: str) -> list[str]:
    """Two or more pieces, none of them blank; else none at all."""
    pieces = [piece.strip(WHITE_SPACE) for piece in label.split(separator)]
    return pieces if len(pieces) > 1 and all(pieces) else []


def cleaned(label: str) -> str:
    """The label that was likely meant by one that another tool left dirt in."""
    if len(label) > 1 and _QUOTED.fullmatch(label):
        label = label[1:-1]
    label = _INVISIBLE.sub("", html.unescape(label))
    for codec in ("latin-1", "cp1252"):
        try:
            return label.encode(codec).decode("utf-8") if _MISREAD.search(label) else label
        except UnicodeError:
            continue
    return label


def _dirt(label: str) -> str:
    """What another tool left in a label; empty if nothing."""
    if len(label) > 1 and _QUOTED.fullmatch(label):
        return "stands in quotes"
    if _MISREAD.search(label):
        return "holds characters that were read in the wrong encoding, or control characters"
    if _INVISIBLE.search(label):
        return "holds invisible characters"
    if html.unescape(label) != label:
        return "holds HTML entities"
    return ""


def _look_alikes(rows: Mapping[str, int], listed: Collection[str]) -> Iterator[tuple[str, str]]:
    """(Label, the commonest label that looks like it)."""
    for group in look_alike_labels(rows):
        commonest = max(group, key=lambda label: (label in listed, rows[label], label))
        yield from ((label, commonest) for label in group if label != commonest and label not in listed)
