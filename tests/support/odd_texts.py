"""Texts that one path could treat in another way than the next: forms, controls, scripts, spaces, lengths.

Made from a seed, taken from nobody's data.
"""

from __future__ import annotations

import unicodedata
from random import Random

from model.bundle.texts import WHITE_SPACE

WORDS = (
    *("sun", "rain", "The", "reply", "never", "ARRIVED", "o'clock", "3.14", "a_b", "x" * 90),
    *("café", "naïve", "Ångström", "Đặng", "ﬁne", "Straße", "ſo", "ıI", "ŉ", "½", "²"),
    *(
        "привет",
        "Ёлка",
        "ΑΣΟΦΟΣ",
        "שָׁלוֹם",
        "مَرْحَبًا",
        "नमस्ते",
        "สวัสดี",
        "한국어",
        "が行",
        "今日は",
        "龍",
        "ᬆᬵ",
        "𝔘𝔫𝔦",
        "אַ",
    ),
    *("😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷", "☺︎", "☺️", "①", "™", "\U0001f9d1\u200d\U0001f692"),
)
LOOK_ALIKES = (
    *(
        "[CLS]",
        "[SEP]",
        "[PAD]",
        "[UNK]",
        "[MASK]",
        "<s>",
        "</s>",
        "<pad>",
        "<unk>",
        "<mask>",
        "<|endoftext|>",
    ),
    *("[sep]", "[ SEP ]", "＜/s＞", "##s", "▁", "Ġ", "<0x0A>", "[unused1]", "</s></s>", "[SEP][SEP]"),
)
MARKS = "\u0301\u0327\u0323\u0308\u0345\u0338\u05b0\u064b\u3099\u0e38\u0f71\u0344"
INVISIBLE = (
    "\ufeff\u200b\u200c\u200d\u2060\u00ad\u180e\u202e\u202c\u2066\u2069\ufe0f\ufe0e\u034f\u061c\U000e0041"
)
CONTROLS = "".join(
    map(chr, (*range(32), 127, 128, 133, 159, 0xFFF9, 0xFFFD, 0xFFFE, 0xE000, 0x378, 0x10FFFF))
)
NEW_IN_UNICODE_15_TO_17 = "\u0897\u1acf\U00010efd\U000113c2\U00016d67\U00011f41\U0001e4ec\U000105d2\u0307"
"""Characters that some libraries know and others do not: marks, and parts of new composed characters."""
FORMS = ("NFC", "NFD", "NFKC", "NFKD")


def odd_texts(count: int, seed: int = 17, *, longest: int = 6000) -> list[str]:
    """`count` different texts, some blank, some with half of a surrogate pair, a few of `longest` words."""
    rng, found = (
        Random(seed),
        dict.fromkeys(("", " ", "\u3000", "\ud800", "a\udfffb", "[SEP]", "\r", "\x1c", "\0")),
    )
    while len(found) < count:
        found.setdefault(_odd_text(rng, longest))
    return list(found)[:count]


def _odd_text(rng: Random, longest: int) -> str:
    words = rng.choices((1, 3, 12, 60, 400, longest), (20, 40, 30, 8, 1.6, 0.4))[0]
    parts = []
    for _ in range(rng.randint(1, words)):
        parts += [_word(rng), " " if rng.random() < 0.8 else rng.choice([*WHITE_SPACE, "\r\n", "", ""])]
    text = "".join(parts)
    if rng.random() < 0.3:
        text = _spaces(rng) + text + _spaces(rng)
    if rng.random() < 0.5:
        text = unicodedata.normalize(rng.choice(FORMS), text)
    if rng.random() < 0.01:
        text += rng.choice(["\ud83d", "\udc00"])
    return text


def _word(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(WORDS)
    if kind < 0.7:
        return rng.choice(LOOK_ALIKES)
    if kind < 0.78:
        return rng.choice("aeoAOक가") + "".join(rng.choices(MARKS, k=rng.choice((1, 2, 3, 40))))
    if kind < 0.86:
        return rng.choice(WORDS) + rng.choice(INVISIBLE) + rng.choice(WORDS)
    if kind < 0.92:
        return "".join(rng.choices(CONTROLS, k=rng.randint(1, 3)))
    if kind < 0.95:
        return "a" + "".join(rng.choices(NEW_IN_UNICODE_15_TO_17, k=3))
    return "".join(
        chr(rng.choice((rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x110000)))) for _ in range(4)
    )


def _spaces(rng: Random) -> str:
    return "".join(rng.choices(WHITE_SPACE, k=rng.choice((1, 2, 5))))
