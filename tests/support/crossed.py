"""Every case with every other, as parameters of a test: a few in the core suite, all in `make test-slow`.

    @pytest.mark.parametrize(("loss", "action"), crossed(LOSSES, ACTIONS))

Each loss and each action occurs in the core at least once; the other pairs carry the marker `slow`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest


def crossed(rows: Sequence[Any], columns: Sequence[Any], name: Callable[[Any], str] = str) -> list[Any]:
    """(row, column) for all of both, as pytest's parameters; `name` names one of either."""
    fewer = min(len(rows), len(columns))
    return [
        pytest.param(
            row,
            column,
            id=f"{name(row)}-{name(column)}",
            marks=[pytest.mark.slow] if (i - j) % fewer else [],
        )
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]
