"""Identity of texts and of labels: the one definition that everything else uses.

Identity of texts: Unicode NFC, then line ends `\\r\\n` and `\\r` become `\\n`, then white space at both ends
(Unicode property White_Space) is removed. Nothing else: case, punctuation, inner white space and
zero-width characters make a different text. Two labels are one if they are equal after NFC.

`identity` is idempotent: a part of an NFC text is NFC, and white space stays white space under NFC.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import polars as pl

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters with the Unicode property White_Space, spelt out: libraries differ, and a text's identity
must not depend on one."""

ID_DIGITS = 32
"""Hex digits of a text id: 128 bits, so two of 10^9 texts share one with probability 1e-21."""

_ZERO_WIDTH = dict.fromkeys(map(ord, "\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f"))
_FOLDED = str.maketrans(
    # Cyrillic and Greek letters that look like Latin ones (Unicode confusables, the commonest).
    "аеорсухіјѕԁһкмтвнАВЕКМНОРСТУХІЈЅαονρκτιυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdhkmtbhABEKMHOPCTYXIJSaovpktiuABEZHIKMNOPTYX",
)


def identity(texts: pl.Expr) -> pl.Expr:
    """The identity text of each text; null stays null."""
    return texts.str.normalize("NFC").str.replace_all("\r\n?", "\n").str.strip_chars(WHITE_SPACE)


def identity_text(text: str) -> str:
    """The identity text of one text (same definition as `identity`)."""
    return str(pl.select(identity(pl.lit(text))).item())


def text_id(identity_of_text: str) -> str:
    """First 32 hex digits of the SHA-256 of an identity text's UTF-8 bytes."""
    return hashlib.sha256(identity_of_text.encode()).hexdigest()[:ID_DIGITS]


def text_ids(identity_texts: pl.Series) -> pl.Series:
    """`text_id` of each identity text; null stays null. SHA-256 runs one text at a time (about 1 µs
    each): engines offer only hashes that change with their version."""
    ids = [None if text is None else text_id(text) for text in identity_texts]
    return pl.Series(identity_texts.name, ids, dtype=pl.String)


def same_label(label: str) -> str:
    """The form in which labels are compared and kept: NFC."""
    return unicodedata.normalize("NFC", label)


def look_alike_labels(labels: Iterable[str]) -> list[list[str]]:
    """Groups of labels that differ only by case, white space, zero-width or look-alike characters.

    Each group is sorted, and so are the groups.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for label in labels:
        groups[_folded(label)].add(label)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _folded(label: str) -> str:
    """`label` without what a reader does not see, for comparisons only."""
    plain = unicodedata.normalize("NFKC", label).translate(_ZERO_WIDTH).translate(_FOLDED).casefold()
    return "".join(plain.replace("_", " ").replace("-", " ").split())
