"""What others wrote is shown as one line that does nothing to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.shown import one_line, several_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, wörds, 日本語, 👩‍🚀", "plain, wörds, 日本語, 👩‍🚀"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b2J and \x7f and \t", r"\x9b2J and \x7f and \t"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("a\u2028b\u2029c\u200bd\ufeff", r"a\u2028b\u2029c\u200bd\ufeff"),
        ("\ud800 alone", r"\ud800 alone"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text())
def test_no_control_character_is_left_and_nothing_else_is_changed(text: str) -> None:
    shown = one_line(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    shown.encode()
    assert one_line(shown) == shown
    if text.isprintable():
        assert shown == text


def test_lines_of_ours_stay_lines() -> None:
    assert several_lines("a\x1b[2J\n  • b\rc\n") == "a\\x1b[2J\n  • b\\rc\n"
