"""Several people label one text: how far they agree, and which answer the text has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.spec import HeadSpec
from sources.labels.target_codes import Target
from sources.profile.agreement import krippendorff_alpha
from sources.spec import SourceSpec, TargetSpec

# Krippendorff (2011), section C: four observers, twelve units, values 1 to 5; a blank is a missing value.
OBSERVERS = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


def test_alpha_of_the_paper() -> None:
    by_unit = zip(*(row.split() for row in OBSERVERS), strict=True)
    units = [([Target((value,)) for value in unit if value != "."], 1) for unit in by_unit]
    assert krippendorff_alpha(units, "multiclass") == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_labels_is_that_of_each_label_by_how_much_it_could_differ() -> None:
    """Worked out by hand: label x is given as 11, 10, 00, label y as 11, 00, 00."""
    units = [
        ([Target(("x", "y")), Target(("x", "y"))], 1),
        ([Target(("x",)), Target(())], 1),
        ([Target(()), Target(())], 1),
    ]
    # Observed: x 2/6, y 0. Expected: x 2·3·3/30, y 2·2·4/30.
    assert krippendorff_alpha(units, "multilabel") == pytest.approx(1 - (2 / 6) / (18 / 30 + 16 / 30))


def test_alpha_of_labels_counts_only_those_who_know() -> None:
    knows = Target(("x",), (), ("x",))
    units = [([knows, Target((), ("x",), ("x",))], 1), ([knows, Target((), (), ("x",))], 1)]
    # The first text has one answer about x, so that only the second counts: 1, 0.
    assert krippendorff_alpha(units, "multilabel") == pytest.approx(0.0)


@pytest.mark.parametrize("answers", [[], [Target(("x",))] * 2])
def test_alpha_is_not_defined_without_a_difference(answers: list[Target]) -> None:
    assert krippendorff_alpha([(answers, 1)], "multiclass") is None


def build_of(build: Any, folder: Path, rows: list[str], kind: Any = "multiclass", **more: Any) -> Any:
    (folder / "a.csv").write_text("text,who,h\n" + "".join(f"{row}\n" for row in rows))
    target = TargetSpec(column="h", encoding="separator", separator="+", empty_means_none=True)
    heads = {"h": target if kind == "multilabel" else "h"}
    filler = {"h": [["x"], ["y"], ["z"]] if kind == "multilabel" else ["x", "y", "z"]}
    spec = SourceSpec(path="a.csv", split="train", heads=heads, annotator="who", **more)
    return build({"it": spec}, {"h": HeadSpec(kind=kind)}, filler=filler)


ROWS = ["a,kim,x", "a,lea,x", "a,mo,y", "b,kim,x", "b,lea,y", "c,kim,z", "d,kim,", "d,lea,z", "e,,x"]


def test_the_majority_and_what_is_tied(build: Any, tmp_path: Path) -> None:
    built = build_of(build, tmp_path, ROWS)
    answers = built.answers("h")
    assert {text: answers[text] for text in "abcde"} == {"a": "x", "b": None, "c": "z", "d": "z", "e": "x"}
    (source,) = [one for one in built.profile["sources"] if one["name"] == "it"]
    figures = source["agreement"]["h"]
    # a: x x y, b: x y. Observed 2·2/2/5 + 2/5, expected (25 - 9 - 4)/20.
    assert figures.pop("alpha") == pytest.approx(1 - (4 / 2 + 2) / 5 / (12 / 20))
    assert figures == {"texts": 2, "people": 3, "answers": 5, "differing": 2, "tied": 1}
    assert built.profile["conflicts"]["h"] == 0
    assert source["rows"] == 9 and built.table("observations").filter(source="it").height == 5


def test_a_row_for_each_person_leaves_it_to_the_conflicts(build: Any, tmp_path: Path) -> None:
    built = build_of(build, tmp_path, ROWS, annotators="each")
    assert (built.answers("h")["a"], built.answers("h")["b"], built.profile["conflicts"]["h"]) == (
        None,
        None,
        2,
    )
    (source,) = [one for one in built.profile["sources"] if one["name"] == "it"]
    assert source["agreement"]["h"]["differing"] == 2


def test_votes_of_labels_are_label_by_label(build: Any, tmp_path: Path) -> None:
    rows = ["a,kim,x+y", "a,lea,x", "a,mo,x+z", "b,kim,x", "b,lea,"]
    built = build_of(build, tmp_path, rows, kind="multilabel")
    assert (built.answers("h")["a"], built.unknown("h")["a"]) == (["x"], [])
    assert (built.answers("h")["b"], built.unknown("h")["b"]) == ([], ["x"])


def test_one_person_who_contradicts_himself_is_a_conflict(build: Any, tmp_path: Path) -> None:
    built = build_of(build, tmp_path, ["a,kim,x", "a,kim,y", "b,lea,x"])
    assert built.profile["conflicts_within"]["h"] == 1


def test_unknown_labels_stay_findings(build: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,who,h\na,kim,x\na,lea,odd\nb,kim,odd\nb,lea,odd\n")
    spec = SourceSpec(path="a.csv", split="train", heads={"h": "h"}, annotator="who")
    head = HeadSpec(kind="multiclass", labels=("x", "y"))
    built = build({"it": spec}, {"h": head}, filler={"h": ["x", "y"]})
    assert built.answers("h")["a"] == "x" and built.answers("h")["b"] is None
    assert built.profile["finding_totals"]["labels_known"] == 2
