"""`Did you mean …?` for a name that is not known (stdlib only)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """` (did you mean `x`?)` for the known name most like `name`; empty where none is like it.

    A name that differs only by case or by white space at its ends comes first.

    Args:
        likeness: how alike the names must be, from 0 to 1 (`difflib`).
    """
    names = sorted(set(known))
    alike = [other for other in names if other.strip().casefold() == name.strip().casefold()]
    near = alike or difflib.get_close_matches(name, names, n=1, cutoff=likeness)
    return f" (did you mean `{near[0]}`?)" if near else ""
