"""Small files that users of other tools reported as misread, one a folder of `tests/cases`: each ends as it
should, with its configuration as it stands and then with the setting that the ending names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from expectations.data.gate import DataVerdict, judge_data
from flows.cli.options import for_shell
from flows.config.load import load_project
from flows.config.messages import ConfigError
from report.quality.sources import source_remarks
from sources.dataset import DatasetRef, build_dataset
from sources.errors import DataError

CASES = Path(__file__).resolve().parents[1] / "cases"
THREE = ("cold", "drink", "pet")
TOPICS = ("animal", "food", "weather")

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

Ended = tuple[DatasetRef, DataVerdict, list[str]]
Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Read and judge a case; what it remarks on beside. `changed` replaces parts of its configuration."""

    def ended(case: str, config: str = "project.yaml", **changed: Any) -> Ended:
        folder = tmp_path / case
        shutil.copytree(CASES / case, folder, dirs_exist_ok=True)
        raw = yaml.safe_load((folder / config).read_text()) if changed else None
        if raw is not None:
            for section, fields in changed.items():
                for name, value in fields.items():
                    place = raw.setdefault(section, {})
                    place[name] = {**place[name], **value} if isinstance(place.get(name), dict) else value
            (folder / config).write_text(yaml.safe_dump(raw))
        project = load_project(folder / config)
        ref = build_dataset(project.sources, project.heads, project.split, folder, tmp_path / "data")
        judged = judge_data(ref.path, project.data_rules, ref.heads, tmp_path / "out")
        profile = json.loads((ref.path / "profile.json").read_text())
        open_ones = [r.reason for r in judged.results if r.looked_at and r.outcome != "met"]
        return ref, judged, [*open_ones, *source_remarks(profile)]

    return ended


REFUSED: dict[str, tuple[str, ...]] = {
    "multi_hot_lists": ("line 1", "3 flags", "names: [LABEL_1, LABEL_2, LABEL_3]"),
    "header_twice": ("line 202", "Two files were joined"),
    "latin_1": ("line 2", "encoding: cp1252"),
    "fasttext_lines": ("`format: fasttext`",),
    "head_whose_source_comes_later": ("`later` is optional and absent",),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_for_certain_is_refused_with_what_to_set(case: str, run: Run) -> None:
    with pytest.raises(DataError) as caught:
        run(case)
    for piece in REFUSED[case]:
        assert piece in str(caught.value)
    assert "\n" not in str(caught.value)  # told once


def test_labels_that_yaml_takes_for_numbers_are_named_with_line_and_column(run: Run) -> None:
    with pytest.raises(ConfigError) as caught:
        run("labels_as_yaml_numbers")
    assert caught.value.problems == [
        'heads.code.labels.0: line 4, column 37: YAML reads 007 as the number 7; put it in quotes: "007"',
        'heads.code.labels.2: line 4, column 47: YAML reads 0x1F as the number 31; put it in quotes: "0x1F"',
    ]


CERTAIN: dict[str, tuple[str, tuple[str, ...], str]] = {
    "integers_and_floats": ("stars", ("1", "3", "5"), "193 rows of `stars` (first june.csv:3, 4, 5)"),
    "choices_in_csv": ("marks", THREE, "57 rows of `marks` (first rows.csv:12, 16, 21)"),
    "empty_list_of_one_label": ("topic", TOPICS, "40 rows of `topic` (first rows.jsonl:1, 11, 21)"),
    "separator_with_blanks": ("marks", THREE, ""),
    "label_with_blank_at_its_end": ("topic", TOPICS, "100 rows of `topic` (first rows.csv:2, 6, 10)"),
    "excel_semicolons": ("topic", TOPICS, "source `rows`, rows.csv: cells are separated by ';'"),
    "optional_source_of_an_unset_variable": ("topic", TOPICS, "source `b` is optional and absent"),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_a_certain_reading_is_done_and_said(case: str, run: Run) -> None:
    head, labels, remark = CERTAIN[case]
    ref, judged, said = run(case)
    assert (ref.heads[head].labels, judged.verdict.outcome) == (labels, "pass")
    assert [one.startswith(remark) for one in said] == ([True] if remark else [])


def test_joined_labels_stop_the_run_with_the_setting(run: Run) -> None:
    _, judged, _ = run("labels_joined_by_hash")
    [reason] = judged.verdict.reasons
    line = '{column: marks, encoding: separator, separator: "#"}'
    assert f"paste `sources.rows.heads.marks: {line}`" in reason and reason.startswith("57 rows of `marks`")


def test_words_for_a_missing_label_are_remarked_on_with_the_setting(run: Run) -> None:
    _, judged, said = run("nan_as_label")
    assert judged.verdict.outcome == "pass"
    assert ['missing: ["nan"]' in one for one in said] == [True]


def test_one_row_a_label_is_recognised_and_no_tolerance_is_advised(run: Run) -> None:
    _, judged, _ = run("one_row_a_label")
    [reason] = judged.verdict.reasons
    assert "as in a file with one row a label" in reason and reason.endswith("`split: {conflicts: union}`")


def test_a_label_of_one_row_ends_alike_wherever_its_hash_falls(run: Run) -> None:
    ends = [run("one_row_of_a_new_label", f"project{number}.yaml") for number in range(6)]
    assert {judged.verdict.outcome for _, judged, _ in ends} == {"pass"}
    assert all(any("`tool`" in one for one in said) for *_, said in ends)


def marks(**target: Any) -> dict[str, Any]:
    """The source's rows with a declaration of `marks`."""
    return {"sources": {"rows": {"heads": {"marks": target}}}}


HASHES = {"encoding": "separator", "separator": "#"}
MISSING = {"heads": {"topic": {"column": "topic", "missing": ["nan"]}}}
SETTINGS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "multi_hot_lists": (marks(column="labels", names=list(THREE)), "marks", THREE),
    "latin_1": ({"sources": {"rows": {"encoding": "cp1252"}}}, "topic", TOPICS),
    "fasttext_lines": (
        {"sources": {"rows": {"format": "fasttext", "heads": {"marks": "label"}}}},
        "marks",
        THREE,
    ),
    "labels_joined_by_hash": (marks(column="marks", **HASHES), "marks", THREE),
    "nan_as_label": ({"sources": {"rows": MISSING}}, "topic", TOPICS),
    "one_row_a_label": ({"split": {"conflicts": "union"}}, "marks", THREE),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_with_the_setting_that_is_named_the_file_is_read_as_meant(case: str, run: Run) -> None:
    changed, head, labels = SETTINGS[case]
    ref, judged, said = run(case, **changed)
    assert (ref.heads[head].labels, judged.verdict.outcome) == (labels, "pass")
    # Lines of fastText without a label are counted, and nothing else is said.
    assert [one for one in said if "lines without a label are unlabelled" not in one] == []


def test_a_folder_with_blanks_and_signs_is_read_and_printed_for_the_shell(tmp_path: Path) -> None:
    folder = tmp_path / "folder with blanks ü #1"
    shutil.copytree(CASES / "label_with_blank_at_its_end", folder)
    (folder / "rows.csv").rename(folder / "rows one.csv")
    config = folder / "project.yaml"
    config.write_text(config.read_text().replace("rows.csv", "rows one.csv"))
    project = load_project(config)
    ref = build_dataset(project.sources, project.heads, project.split, folder, tmp_path / "data")
    assert ref.heads["topic"].labels == TOPICS
    assert for_shell(config) == f"'{config}'"
