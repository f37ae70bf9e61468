"""Identity of texts and of labels: the one definition that everything else uses.

Two texts are one if they are equal after `model.bundle.texts.prepared`, which is also how every model sees
them. A text that is empty then is blank. Two labels are one if they are equal after NFC.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import polars as pl

from model.bundle.texts import WHITE_SPACE, prepared

INERT = (
    "\\x00-\u02ff\u0400-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u2328\u2400-\u2775"
    "\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\U0001f300-\U0001f6ff"
)
"""Characters of which any sequence is NFC (each by itself is, and neither joins with another nor moves), as
ranges of a regular expression."""
_CHUNK_ROWS = 100_000
"""Texts that are Python objects at a time."""
ID_DIGITS = 32
"""Hex digits of a text id: 128 bits, so two of 10^9 texts share one with probability 1e-21."""

_ZERO_WIDTH = dict.fromkeys(map(ord, "\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f"))
_FOLDED = str.maketrans(
    # Cyrillic and Greek letters that look like Latin ones (Unicode confusables, the commonest).
    "аеорсухіјѕԁһкмтвнАВЕКМНОРСТУХІЈЅαονρκτιυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdhkmtbhABEKMHOPCTYXIJSaovpktiuABEZHIKMNOPTYX",
)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,3})?")
_TRUTHS = {
    word: truth
    for truth, words in (("true", "true t yes y on 1 1.0"), ("false", "false f no n off 0 0.0"))
    for word in words.split()
}


def identity(texts: pl.Expr) -> pl.Expr:
    """The identity text of each text; null stays null."""
    return texts.map_batches(_identities, return_dtype=pl.String, is_elementwise=True)


def _identities(texts: pl.Series) -> pl.Series:
    # Normalised by Python alone: polars knows another version of Unicode, so that a text would be stored in
    # one form and tokenised in another. Few texts need it, and the others are not copied.
    length = pl.col("text").str.len_bytes()
    odd = texts.to_frame("text").select(
        (length != pl.col("text").str.strip_chars(WHITE_SPACE).str.len_bytes())
        | pl.col("text").str.contains(f"[^{INERT}]|\r")
    )["text"]
    odd = odd.fill_null(False)
    if not odd.any():
        return texts
    made = pl.Series(list(map(prepared, texts.filter(odd).to_list())), dtype=pl.String)
    number = pl.select(pl.when(odd).then(odd.cast(pl.UInt32).cum_sum() - 1)).to_series()
    return pl.select(pl.when(odd).then(made.gather(number)).otherwise(texts).alias(texts.name)).to_series()


def text_id(identity_of_text: str) -> str:
    """First 32 hex digits of the SHA-256 of an identity text's UTF-8 bytes."""
    return hashlib.sha256(identity_of_text.encode()).hexdigest()[:ID_DIGITS]


def text_ids(identity_texts: pl.Series) -> pl.Series:
    """`text_id` of each identity text; null stays null. SHA-256 runs one text at a time (about 0.5 µs
    each): engines offer only hashes that change with their version."""
    parts = [
        _some_ids(identity_texts[start : start + _CHUNK_ROWS])
        for start in range(0, len(identity_texts), _CHUNK_ROWS)
    ]
    ids = pl.concat(parts) if parts else pl.Series(dtype=pl.String)
    return ids.alias(identity_texts.name)


def _some_ids(identity_texts: pl.Series) -> pl.Series:
    sha256 = hashlib.sha256
    digests = [
        text if text is None else sha256(text).digest() for text in identity_texts.cast(pl.Binary).to_list()
    ]
    return pl.Series(digests, dtype=pl.Binary).bin.slice(0, ID_DIGITS // 2).bin.encode("hex")


def same_label(label: str) -> str:
    """The form in which labels are compared and kept: NFC."""
    return unicodedata.normalize("NFC", label)


def look_alike_labels(labels: Iterable[str]) -> list[list[str]]:
    """Groups of labels that differ only by case, white space, zero-width or look-alike characters, that are
    one number (`7` and `007`) or, where all labels are such words, one truth (`true` and `1`).

    Each group is sorted, and so are the groups.
    """
    distinct = set(labels)
    only_truths = all(label.casefold() in _TRUTHS for label in distinct)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for label in distinct:
        groups[_TRUTHS[label.casefold()] if only_truths else _folded(label)].add(label)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _folded(label: str) -> str:
    """`label` without what a reader does not see, for comparisons only."""
    plain = unicodedata.normalize("NFKC", label).translate(_ZERO_WIDTH).translate(_FOLDED).casefold()
    if _NUMBER.fullmatch(plain):
        return repr(float(plain))
    return "".join(plain.replace("_", " ").replace("-", " ").split())
