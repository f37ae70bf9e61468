"""How a text is prepared before it is tokenised: one function for training, scoring, golden answers, timing
and serving, which also says when two texts are the same.

    prepared("  cafe\\u0301\\r\\nau lait ")  →  "caf\\u00e9\\nau lait"

White space at both ends (Unicode property White_Space) is removed, the rest becomes Unicode NFC, and the
line ends `\\r\\n` and `\\r` become `\\n`. Nothing else: case, punctuation, inner white space, controls and
zero-width characters stay. Unicode is that of the running Python (`unicodedata.unidata_version`).

Needs the standard library only. Does not know tokens.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

TextPreparation = Literal["as_given", "nfc"]
"""How a bundle prepares texts. `nfc`: by `prepared`; what looks like a special token is text. `as_given`: not
at all; what looks like a special token is one. So it was with bundles whose card does not say."""
PREPARATIONS: tuple[TextPreparation, ...] = get_args(TextPreparation)
PREPARATION: TextPreparation = "nfc"
"""That of every model that is trained from now on."""

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters with the Unicode property White_Space, spelt out: libraries differ, and a text's identity
must not depend on one."""

MOST_COMPOSED = 4
"""Most characters that NFC makes one of (UAX #15, table 8, expansion factors)."""

_STARTS_ANEW = re.compile("[\\x00-\\u02ff\\u4e00-\\u9fff]")
"""A character that NFC neither joins with those before it nor moves: a text may be cut there."""
_LONG_RUN = re.compile("[^\\x00-\\u02ff\\u4e00-\\u9fff]{64,}")
"""Where many combining marks may follow each other."""


def prepared(text: str, most_chars: int | None = None) -> str:
    """The text as it is tokenised, or its first `most_chars` characters. Idempotent.

    Takes time in proportion to the text's length, whatever is in it; of a text that is much longer than
    `most_chars` little more than the beginning is looked at.
    """
    text = text.strip(WHITE_SPACE)
    if most_chars is not None and len(text) > MOST_COMPOSED * most_chars:
        end = _STARTS_ANEW.search(text, MOST_COMPOSED * most_chars)
        text = text if end is None else text[: end.start()]
    if not text.isascii():
        text = unicodedata.normalize("NFC", _LONG_RUN.sub(_in_canonical_order, text))
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if most_chars is None else text[:most_chars]


def _in_canonical_order(run: re.Match[str]) -> str:
    """The run, decomposed, its combining marks in canonical order (UAX #15, section 1.3), unless it is NFC
    already. `unicodedata` sorts by insertion: 20,000 marks would take it 0.4 s, a million some 1,000 s."""
    if unicodedata.is_normalized("NFC", run[0]):
        return run[0]
    parts = {character: unicodedata.normalize("NFD", character) for character in set(run[0])}
    decomposed = "".join(map(parts.__getitem__, run[0]))
    order = {part: unicodedata.combining(part) for part in set(decomposed)}
    ordered: list[str] = []
    marks: list[str] = []
    for part in decomposed:
        if order[part]:
            marks.append(part)
            continue
        if marks:
            ordered += sorted(marks, key=order.__getitem__)
            marks.clear()
        ordered.append(part)
    return "".join(ordered + sorted(marks, key=order.__getitem__))
