"""Which name is suggested for one that is not known."""

from __future__ import annotations

import pytest

from model.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("intnet", ["intent", "topic"], " (did you mean `intent`?)"),
        ("ID", ["od", "id"], " (did you mean `id`?)"),
        ("text", [" Text"], " (did you mean ` Text`?)"),
        ("text", ["label"], ""),
        ("text", [], ""),
    ],
)
def test_the_nearest_name_or_nothing(name: str, known: list[str], expected: str) -> None:
    assert did_you_mean(name, known) == expected


def test_the_order_of_names_changes_nothing() -> None:
    known = ["rate", "rated", "rater"]
    assert did_you_mean("rat", known) == did_you_mean("rat", reversed(known))
