"""Known defects of the real corpora named by HEADGATE_DATA: Headgate finds each, to the number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.data_findings import look_at, main, table
from benchmarks.data_findings_defects import Defect, Seen, defects
from benchmarks.data_findings_sources import corpora

ROOT = os.environ.get("HEADGATE_DATA", "")
real = pytest.mark.skipif(
    not (ROOT and Path(ROOT).is_dir()), reason="HEADGATE_DATA does not name the folder of real data"
)


@pytest.fixture(scope="module", params=sorted(corpora()))
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Seen]:
    name = str(request.param)
    return name, look_at(name, tmp_path_factory.mktemp(name))


@real
def test_each_stated_defect_is_found_to_the_number(corpus: tuple[str, Seen]) -> None:
    name, seen = corpus
    found = list(defects(name, seen))
    assert len(found) >= 4
    assert [one for one in found if not one.settled] == []


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
    assert "'B'" in result.reason


def test_a_figure_that_differs_without_a_reason_is_not_settled() -> None:
    assert Defect(says="x", stated=3, found=3, where="w").settled
    assert not Defect(says="x", stated=3, found=4, where="w").settled
    assert Defect(says="x", stated=3, found=4, right=4, why="for this reason", where="w").settled
    assert not Defect(says="x", stated=3, found=4, right=4, where="w").settled
    assert not Defect(says="x", stated=3, found=5, right=4, why="for this reason", where="w").settled


def test_the_table_says_why_figures_differ() -> None:
    shown = table(
        [
            Defect(says="a", stated=3, found=4, right=4, why="for this reason", where="w"),
            Defect(says="b", stated=1000, found=5, where="w"),
        ]
    )
    assert "| a         |      3 |     4 | (1) | w        |" in shown
    assert "(1) for this reason." in shown
    assert "(2) **not explained**." in shown


def test_without_data_it_says_which_variable_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HEADGATE_DATA", raising=False)
    with pytest.raises(SystemExit):
        main([])
    assert "HEADGATE_DATA" in capsys.readouterr().err
