"""Known defects of the real corpora named by HEADGATE_DATA: Headgate finds each, to the number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.known_corpora import corpora, generated_corpus
from tests.support.known_defects import Defect, Seen, defects, judged_corpus

ROOT = os.environ.get("HEADGATE_DATA", "")
real = pytest.mark.skipif(
    not (ROOT and Path(ROOT).is_dir()), reason="HEADGATE_DATA does not name the folder of real data"
)


@pytest.fixture(scope="module", params=sorted(corpora()))
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Seen]:
    name = str(request.param)
    return name, judged_corpus(corpora()[name], tmp_path_factory.mktemp(name))


@real
def test_each_stated_defect_is_found_to_the_number(corpus: tuple[str, Seen]) -> None:
    name, seen = corpus
    found = list(defects(name, seen))
    assert len(found) >= 4
    assert [one for one in found if not one.explained] == []


@real
def test_what_is_only_worth_a_warning_lets_the_data_through(corpus: tuple[str, Seen]) -> None:
    name, seen = corpus
    assert seen.judged.verdict.outcome == "pass", name


@real
def test_a_tag_on_every_row_is_reported_as_useless(corpus: tuple[str, Seen]) -> None:
    name, seen = corpus
    if name != "bitext":
        pytest.skip("the tag is bitext's")
    result = seen.rule("informative_labels", "tags")
    assert (result.outcome, result.count) == ("not met", 1)
    assert "`B`" in result.reason


def test_a_figure_that_differs_without_a_reason_is_not_explained() -> None:
    assert Defect(statement="x", stated=3, found=3, where="w").explained
    assert not Defect(statement="x", stated=3, found=4, where="w").explained
    assert Defect(statement="x", stated=3, found=4, right=4, why="for this reason", where="w").explained
    assert not Defect(statement="x", stated=3, found=4, right=4, where="w").explained
    assert not Defect(statement="x", stated=3, found=5, right=4, why="for this reason", where="w").explained


def test_planted_defects_are_found_to_the_number(tmp_path: Path) -> None:
    seen = judged_corpus(generated_corpus(tmp_path), tmp_path)
    found = {defect.statement: (defect.stated, defect.found) for defect in defects("generated", seen)}
    assert len(found) == 5 and all(stated == figure for stated, figure in found.values()), found
