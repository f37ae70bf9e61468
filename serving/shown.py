"""Text that somebody else wrote, as it is shown in a terminal or kept in a line of a log.

A line break would forge a line of ours, an escape sequence would move the cursor, and a mark of direction
would turn what follows. HTML is for `report`.
"""

from __future__ import annotations

import html
import unicodedata

from model.bundle.masking import masked

_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control and format characters, lone surrogates, and separators of lines."""
_JOINERS = frozenset("\u200c\u200d")
"""Format characters that words of some languages are written with."""


def one_line(text: str) -> str:
    r"""The text, secrets masked, with every character that is not shown as itself written out: `\n`, `\x1b`,
    `\u202e`."""
    return "".join(_written_out(c) if _hidden(c) else c for c in masked(text))


def several_lines(text: str) -> str:
    """As `one_line`, of each line: for messages of ours that hold others' text in their lines."""
    return "\n".join(map(one_line, text.split("\n")))


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _UNSHOWN and character not in _JOINERS


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def plain_markdown(text: str) -> str:
    """`text` so that markdown shows it as it is, in one line: HTML escaped, signs of markdown as entities."""
    return "".join(f"&#{ord(sign)};" if sign in _SIGNS else sign for sign in html.escape(text))


_SIGNS = frozenset("\\`*[]()!|~\n\r")
"""What begins a link, an image, code, emphasis, or another cell."""
