"""Custom expectations in Python: what they may return, and what their user reads when they cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import expectations.data.gx.evaluate
from expectations.data.check import Check
from expectations.data.custom_functions import CustomRulesError, Returned, call, load_custom_rules
from expectations.data.gate import judge_data
from expectations.data.gx.evaluate import evaluate
from expectations.spec import DataRules
from model.spec import HeadSpec
from report.data_docs import write_data_docs
from tests.support.html import without_own_script

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

ROWS = pd.DataFrame({"text": ["one", "two", None], "chars": [3, 3, 0]})


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], tuple[str, Path]]:
    def write(code: str, name: str = "mine.py") -> tuple[str, Path]:
        (tmp_path / name).write_text(code, encoding="utf-8")
        return name, tmp_path

    return write


def answer(module: Any, body: str, **arguments: Any) -> Returned:
    name, base = module(f"def expect_it(rows, word='one'):\n    {body}\n")
    return call(load_custom_rules([name], base), "expect_it", ROWS, arguments)


@pytest.mark.parametrize(
    ("body", "cells"),
    [
        ("return rows['text'] == word", [True, False, False]),
        ("return (rows['text'] == word).where(rows['text'].notna())", [True, False, None]),
        ("return [True, None, False]", [True, None, False]),
        ("return (rows['chars'] > 1).to_numpy()", [True, True, False]),
        ("return rows['chars'] // 3", [True, True, False]),
    ],
)
def test_an_answer_a_row(module: Any, body: str, cells: list[bool | None]) -> None:
    said = answer(module, body)
    assert said.cells is not None and said.problem is None
    assert [None if pd.isna(cell) else cell for cell in said.cells] == cells


def test_one_answer_for_all_and_arguments(module: Any) -> None:
    assert answer(module, "return len(rows) == 3").whole is True
    said = answer(module, "return rows['text'] == word", word="two").cells
    assert said is not None and said.tolist() == [False, True, False]


def test_a_function_cannot_change_the_table(module: Any) -> None:
    answer(module, "rows['text'] = 'x'; rows['new'] = 1; return True")
    assert list(ROWS.columns) == ["text", "chars"] and ROWS["text"][0] == "one"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return rows['nope']", "mine.py, line 2: KeyError in expect_it"),
        ("raise ValueError(rows['text'][0] + ' is secret')", "line 2: ValueError"),
        ("return None", "returned NoneType, expected True or False for each of the 3 rows, or one for all"),
        ("return [True]", "returned 1 values"),
        ("return rows['text']", "returned values that are not True or False"),
        ("return rows['chars']", "returned values that are not True or False"),
        ("return {1: True}", "returned dict"),
    ],
)
def test_what_is_no_answer_is_told_without_values(module: Any, body: str, told: str) -> None:
    said = answer(module, body)
    assert said.problem is not None and told in said.problem
    assert "secret" not in said.problem and said.cells is None and said.whole is None


def test_arguments_that_do_not_fit(module: Any) -> None:
    problem = answer(module, "return True", wrod="x").problem
    assert problem is not None and "TypeError" in problem and "it was given rows and wrod" in problem


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def expect_x(rows):\n  return (", r"mine\.py, line 2: not Python"),
        (
            "a = 1\nimport nothing_of_that_name",
            r"mine\.py, line 2: ModuleNotFoundError.*nothing_of_that_name",
        ),
        ("a = 1\n\nraise SystemExit(3)", r"mine\.py, line 3: SystemExit"),
        ("def expect_column_to_exist(rows):\n  return True", "'expect_column_to_exist' is taken"),
        (
            "from great_expectations.expectations import ExpectTableRowCountToEqual as Base\n"
            "class ExpectColumnToExist(Base):\n    pass\n",
            "ExpectColumnToExist takes the name of an expectation of Great Expectations",
        ),
    ],
)
def test_a_file_that_cannot_be_used(module: Any, code: str, told: str) -> None:
    name, base = module(code)
    with pytest.raises(CustomRulesError, match=rf"(?s)expectations\.modules\[0\].*{told}"):
        load_custom_rules([name], base)


@pytest.mark.parametrize("name", ["absent.py", "mine.txt", "."])
def test_a_file_that_is_not_there(module: Any, name: str) -> None:
    _, base = module("", "mine.txt")
    with pytest.raises(CustomRulesError, match=r"modules\[0\].*no such Python file"):
        load_custom_rules([name], base)


def test_two_files_may_not_define_one_name(module: Any) -> None:
    first, base = module("def expect_it(rows):\n  return True")
    second, _ = module("def expect_it(rows):\n  return False", "other.py")
    with pytest.raises(CustomRulesError, match=r"modules\[1\].*'expect_it' is taken"):
        load_custom_rules([first, second], base)


def test_what_is_imported_or_named_otherwise_is_not_asked_for(module: Any) -> None:
    name, base = module("from os.path import join as expect_join\ndef helper(rows):\n  return True\n")
    assert load_custom_rules([name], base).functions == {}
    assert load_custom_rules([], base).functions == {}


CODE = '''
from great_expectations.expectations import ExpectColumnValuesToMatchRegex

class ExpectTextsToBeMessages(ExpectColumnValuesToMatchRegex):
    """Every text is a message."""
    column: str = "text"
    regex: str = "^message"

def expect_no_sevens(rows):
    """No text holds a seven.

    Sevens are for numbers.
    """
    return ~rows["text"].str.contains("7")

def expect_lines(rows, most):
    return rows["line"] <= most

def expect_both_heads(rows):
    return {"head:topic", "head:mood", "count:mood", "split"} <= set(rows.columns)

def expect_broken(rows):
    return rows["txt"]
'''


def test_all_kinds_through_the_gate(
    rows: list[Any],
    heads: dict[str, HeadSpec],
    write_dataset: Callable[..., Path],
    module: Any,
    tmp_path: Path,
) -> None:
    name, base = module(CODE)
    pair = {"column_A": "count:mood", "column_B": "count:mood"}
    compared = {"type": "comparison", "column": {"name": "split"}, "operator": "==", "parameter": "test"}
    in_test = {"row_condition": compared}
    extra: tuple[dict[str, Any], ...] = (
        {"type": "expect_texts_to_be_messages"},
        {"type": "expect_no_sevens", "severity": "warning", "tolerance": 0.5},
        {"type": "expect_lines", "kwargs": {"most": 300}, "table": "observations", "severity": "warning"},
        {"type": "expect_both_heads"},
        {"type": "expect_broken", "severity": "warning"},
        {"type": "expect_no_seven", "severity": "info"},
        {"type": "expect_column_pair_values_to_be_equal", "kwargs": pair},
        {
            "type": "expect_compound_columns_to_be_unique",
            "kwargs": {"column_list": ["split", "head:topic"]},
            "severity": "warning",
        },
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "head:topic", "value_set": ["bill", "trip"], **in_test},
            "severity": "warning",
        },
        {
            "type": "expect_column_kl_divergence_to_be_less_than",
            "kwargs": {
                "column": "split",
                "partition_object": {"values": ["train", "validation", "test"], "weights": [0.5, 0.25, 0.25]},
                "threshold": 0.1,
            },
        },
        {
            "type": "expect_table_columns_to_match_set",
            "kwargs": {"column_set": ["text"], "exact_match": False},
        },
    )
    rules = DataRules(extra=extra, modules=(name,))
    judged = judge_data(write_dataset(rows, heads), rules, heads, tmp_path / "out", base=base)
    said = {r.check.rule: r for r in judged.results if r.check.rule.startswith("extra")}
    assert [r.outcome for r in said.values()] == [
        "met",
        "tolerated",
        "not met",
        "met",
        "could not be evaluated",
        "could not be evaluated",
        "met",
        "not met",
        "not met",
        "met",
        "met",
    ]
    assert "mine.py, line 23: KeyError in expect_broken" in said["extra[4]"].reason
    assert said["extra[1]"].check.expected == "No text holds a seven"
    assert "did you mean `expect_no_sevens`?" in said["extra[5]"].reason
    # One of eleven could not be evaluated and another is unknown: the others were judged all the same.
    assert judged.verdict.outcome == "pass"

    found = pq.read_table(judged.offending_parquet).to_pylist()
    lines = {rule: {f["line"] for f in found if f["rule"] == rule} for rule in said}
    assert lines["extra[1]"] == {at + 2 for at in range(300) if "7" in str(at)}
    assert lines["extra[2]"] == {301}
    assert len(lines["extra[7]"]) == said["extra[7]"].count == 300
    other_tests = {
        at + 2 for at, row in enumerate(rows) if row.split == "test" and row.labels["topic"] == ["other"]
    }
    assert lines["extra[8]"] == other_tests and said["extra[8]"].count == len(other_tests)
    assert {f["source"] for f in found} == {"letters"}
    assert "message number" not in judged.offending_csv
    assert len(judged.pages) > 5 and write_data_docs(judged).is_file()
    for page in (tmp_path / "out").rglob("*.html"):
        html = without_own_script(page.read_text(encoding="utf-8"))
        html = without_own_script(html)
        assert "message number" not in html and "<script" not in html and "://" not in html, page


def test_a_critical_function_stops_and_a_broken_file_is_an_error(
    rows: list[Any],
    heads: dict[str, HeadSpec],
    write_dataset: Callable[..., Path],
    module: Any,
    tmp_path: Path,
) -> None:
    name, base = module("def expect_few(rows):\n    return len(rows) < 10\n")
    dataset = write_dataset(rows, heads)
    rules = DataRules(extra=({"type": "expect_few"},), modules=(name,))
    judged = judge_data(dataset, rules, heads, tmp_path / "out", base=base)
    assert judged.verdict.outcome == "fail"
    [reason] = judged.verdict.reasons
    assert reason.startswith("1 table is not as `expect_few` expects (few): the function returned False")
    assert reason.endswith("change `expectations.extra[0]`")
    module("def expect_few(rows:\n")
    with pytest.raises(CustomRulesError):
        judge_data(dataset, rules, heads, tmp_path / "again", base=base)


def test_rows_are_listed_only_where_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    regex = {"column": "text", "regex": "^x"}
    check = Check(
        rule="extra[0]",
        expected="",
        severity="info",
        tolerance=0.0,
        table="dataset",
        type="expect_column_values_to_match_regex",
        kwargs=regex,
    )
    table = {"dataset": pd.DataFrame({"text": ["x", "a", "xa", "b"]})}
    ((few,), _) = evaluate([check], table)
    assert few.rows is not None and few.rows.tolist() == [1, 3]
    monkeypatch.setattr(expectations.data.gx.evaluate, "MOST_ROWS", 1)
    ((many,), _) = evaluate([check], table)
    assert (many.count, many.rows) == (2, None)
