"""When two texts or labels are the same."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bundle.texts import WHITE_SPACE, prepared
from sources.merge.identity import INERT, identity, look_alike_labels, text_id, text_ids

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("  a b\t", "a b"),
        ("\u00a0a\u3000", "a"),
        ("\u2028a\x85", "a"),
    ],
)
def test_same_text(one: str, other: str) -> None:
    assert prepared(one) == prepared(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "A"), ("a b", "a  b"), ("a", "a."), ("a", "a\u200b"), ("a\n\nb", "a\nb"), ("ﬁ", "fi"), ("a", "а")],
)
def test_different_text(one: str, other: str) -> None:
    assert prepared(one) != prepared(other)


@given(TEXTS)
def test_identity_is_idempotent(text: str) -> None:
    once = prepared(text)
    assert prepared(once) == once
    assert "\r" not in once
    assert once == once.strip(WHITE_SPACE)


@given(st.text(st.characters(max_codepoint=0x24FF, exclude_categories=["Cs", "Cn"]), max_size=30))
def test_identity_is_what_python_says(text: str) -> None:
    expected = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip(WHITE_SPACE)
    assert prepared(text) == expected


def test_white_space_is_the_unicode_property() -> None:
    # Python's isspace adds four separators (FS, GS, RS, US) that Unicode does not call white space.
    python = {chr(c) for c in range(0x110000) if chr(c).isspace()} - {"\x1c", "\x1d", "\x1e", "\x1f"}
    assert set(WHITE_SPACE) == python


def test_text_id_is_half_of_sha256() -> None:
    assert text_id("abc") == "ba7816bf8f01cfea414140de5dae2223" == hashlib.sha256(b"abc").hexdigest()[:32]


def test_missing_stays_missing() -> None:
    texts = pl.Series(["a", None])
    assert text_ids(texts)[1] is None
    assert texts.to_frame("t").select(identity(pl.col("t"))).to_series().to_list() == ["a", None]


def test_look_alike_labels_are_named_and_others_are_not() -> None:
    labels = ["Refund", "refund ", "re\u200bfund", "refuпd", "other", "раy", "pay", "order_id", "order-id"]
    assert look_alike_labels(labels) == [
        ["Refund", "refund ", "re\u200bfund"],
        ["order-id", "order_id"],
        ["pay", "раy"],
    ]


def test_characters_that_need_no_normalisation() -> None:
    """Each is NFC by itself, is not sorted among others, and is never the second of two that become one."""
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    pairs = [parts for c in every if len(parts := unicodedata.decomposition(c).split()) > 1]
    second = {chr(int(parts[1], 16)) for parts in pairs if not parts[0].startswith("<")}
    second |= {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # Hangul, by rule
    inert = re.compile(f"[{INERT}]")
    for character in filter(inert.match, every):
        assert not unicodedata.combining(character) and character not in second, hex(ord(character))
        assert unicodedata.is_normalized("NFC", character), hex(ord(character))


ODD = st.text(st.sampled_from([*"aé\u0301\u0327\r\n й\u0306각ᆨ\u2003 "]))


@settings(deadline=None)
@given(st.lists(st.none() | TEXTS | ODD, max_size=9))
def test_identity_of_many_texts_is_that_of_each(texts: list[str | None]) -> None:
    series = pl.Series("t", texts, dtype=pl.String)
    found = series.to_frame().select(identity(pl.col("t")))
    assert found["t"].to_list() == [text if text is None else prepared(text) for text in texts]
    ids = text_ids(found["t"]).to_list()
    assert ids == [text if text is None else text_id(text) for text in found["t"].to_list()]
