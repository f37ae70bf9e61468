"""Which encoding some bytes that are not UTF-8 are likely in. A guess for a message, never a reading."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

CANDIDATES = (
    *("cp1252", "mac_roman", "cp850", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
"""Codecs that are tried, the likeliest first; of equally good ones the first is named."""
_TYPOGRAPHIC = "’‘“”„«»–—…€£°§·•¿¡©®"
_JAPANESE = ("shift_jis", "euc_jp")
_KANA = re.compile("[\u3041-\u30fa]")
_WIDE = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")


def guessed_encoding(sample: bytes) -> str | None:
    """The codec that makes the likeliest text of some bytes; None where none makes sense.

    A letter that is not ASCII is likely where its neighbours are of its script; typographic marks are likely
    too, other signs are not.
    """
    if (wide := _utf_16(sample)) is not None:
        return wide
    best, best_score = None, 0.5
    for codec in CANDIDATES:
        # The sample may begin or end within a character of several bytes.
        text = sample.decode(codec, errors="replace").strip("\ufffd")
        found = list(_scores(text))
        if codec in _JAPANESE and not _KANA.search(text):
            continue
        if found and (score := sum(found) / len(found)) > best_score + 0.01:
            best, best_score = codec, score
    return best


def _utf_16(sample: bytes) -> str | None:
    """UTF-16 without a byte-order mark: every other byte of mostly ASCII text is NUL."""
    for codec, at in (("utf-16-le", 1), ("utf-16-be", 0)):
        zeros, others = sample[at::2], sample[1 - at :: 2]
        if len(zeros) > 3 and zeros.count(0) > len(zeros) / 2 and others.count(0) < len(others) / 10:
            return codec
    return None


def _scores(text: str) -> Iterator[float]:
    """How likely each character that is not ASCII is, from 0 to 1."""
    for at, sign in enumerate(text):
        if sign.isascii():
            continue
        if sign in _TYPOGRAPHIC:
            between = text[max(at - 1, 0) : at].isalpha() and text[at + 1 : at + 2].isalpha()
            yield 0.3 if between and sign != "’" else 1.0
        elif not sign.isalpha() or sign == "\ufffd":
            yield 0.0
        else:
            around = [other for other in text[max(at - 1, 0) : at] + text[at + 1 : at + 2] if other.isalpha()]
            script = _script(sign)
            alike = all(_script(other) == script for other in around) if around else False
            strange_case = sign.isupper() and text[max(at - 1, 0) : at].islower()
            yield (0.3 if strange_case else 1.0) if alike else 0.2


def _script(sign: str) -> str:
    name = unicodedata.name(sign, "").partition(" ")[0]
    return "WIDE" if name in _WIDE else name
