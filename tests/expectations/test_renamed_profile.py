"""A name that changed is no drift; what moved beside it still is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from expectations.contract.consent import consents_of
from expectations.contract.renamed import under_present_names
from expectations.data.drift import Levels, compare
from model.spec import HeadSpec

LEVELS = Levels()
COUNTS = st.integers(150, 5000)


def profile(heads: dict[str, dict[str, int]], kind: str = "multiclass") -> dict[str, Any]:
    def figures(counts: dict[str, int]) -> dict[str, Any]:
        found: dict[str, Any] = {"labelled": sum(counts.values()), "counts": counts}
        if kind == "multilabel":
            found["unknown"] = {label: 10 for label in counts}
        return found

    return {
        "heads": {
            head: {"kind": kind, "labels": list(counts), "splits": {"train": figures(counts)}}
            for head, counts in heads.items()
        }
    }


def present(heads: dict[str, dict[str, int]], kind: Any = "multiclass") -> dict[str, HeadSpec]:
    return {head: HeadSpec(kind=kind, labels=tuple(counts)) for head, counts in heads.items()}


@given(weather=COUNTS, praise=COUNTS, kind=st.sampled_from(["multiclass", "multilabel"]))
def test_a_label_and_a_head_under_new_names_have_not_moved(weather: int, praise: int, kind: str) -> None:
    then = profile({"topic": {"weather": weather, "praise": praise}}, kind)
    now = {"subject": {"climate": weather, "praise": praise}}
    consents = consents_of(["rename topic → subject", "rename subject:weather → climate"])
    shown = under_present_names(then, present(now, kind), consents)
    (one, *_) = compare(profile(now, kind), shown, LEVELS)
    assert (one.state, one.level(LEVELS), one.moved) == ("compared", "ok", ())
    assert set(then["heads"]) == {"topic"}, "the champion's own profile stays as it is"


def test_what_moved_beside_a_new_name_is_still_drift() -> None:
    then = profile({"topic": {"weather": 900, "praise": 100}})
    now = {"topic": {"climate": 500, "praise": 500}}
    shown = under_present_names(then, present(now), consents_of(["rename topic:weather → climate"]))
    (one, *_) = compare(profile(now), shown, LEVELS)
    assert one.level(LEVELS) == "fail"
    assert {name: (old, new) for name, old, new in one.moved}["climate"] == (0.9, 0.5)


def test_only_from_a_name_that_is_gone_to_one_that_has_come() -> None:
    then = profile({"topic": {"weather": 500, "praise": 500}})
    heads = present({"topic": {"weather": 500, "climate": 500, "praise": 1}})
    for line in ("rename topic:weather → climate", "rename topic:praise → weather", "rename topic → mood"):
        assert under_present_names(then, heads, consents_of([line])) == then
    assert under_present_names({}, heads, consents_of(["rename topic:weather → climate"])) == {"heads": {}}
    assert under_present_names(then, heads, consents_of(["drop topic:weather"])) == then
