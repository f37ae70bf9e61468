"""Doubtful labels are judged by rules of their own, and said in terminal, page and table of findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from expectations.data.gate import DataVerdict, judge_data
from expectations.known import Known
from expectations.spec import DataRules, Rule
from model.spec import HeadSpec
from report.quality.pages import write_quality
from sources.dataset import DatasetRef, build_dataset
from sources.spec import SourceSpec, SplitSpec, TargetSpec
from tests.support.label_files import topic_rows, write

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

TOPIC = {"topic": HeadSpec(kind="multiclass")}
SPLIT = SplitSpec(near_duplicates="off")


def dataset(folder: Path, cells: dict[int, Any], more: dict[str, SourceSpec] | None = None) -> DatasetRef:
    """300 rows with some cells changed."""
    rows = topic_rows(300, 17)
    for at, cell in cells.items():
        rows[at]["topic"] = cell
    write(rows, folder / "rows.csv")
    source = SourceSpec(path="rows.csv", heads={"topic": TargetSpec(column="topic")})
    return build_dataset({"rows": source, **(more or {})}, TOPIC, SPLIT, folder, folder / "data")


def judged(folder: Path, ref: DatasetRef, **rules: Rule) -> DataVerdict:
    return judge_data(ref.path, DataRules(**rules), ref.heads, folder / "out")


def result(verdict: DataVerdict, rule: str) -> Any:
    [found] = [one for one in verdict.results if one.check.rule == rule]
    return found


def test_few_joins_are_named_and_many_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    few = judged(tmp_path / "few", dataset(tmp_path / "few", dict.fromkeys(range(9), "food#animal")))
    assert (result(few, "joined_labels").outcome, few.verdict.outcome) == ("tolerated", "pass")
    assert (
        "9 rows of `topic`, first rows.csv:2, rows.csv:3, rows.csv:4" in result(few, "joined_labels").reason
    )
    (tmp_path / "many").mkdir()
    ref = dataset(tmp_path / "many", dict.fromkeys(range(30), "food#animal"))
    many = judged(tmp_path / "many", ref)
    assert many.verdict.outcome == "fail" and "joined_labels[topic]" in many.verdict.reasons[0]
    assert result(many, "joined_labels").observed == pytest.approx(0.1)
    lenient = judged(tmp_path / "many", ref, joined_labels=Rule(severity="warning", tolerance=0.2))
    assert lenient.verdict.outcome == "pass" and result(lenient, "joined_labels").outcome == "tolerated"


def test_a_certain_reading_is_broken_only_where_its_tolerance_is_lowered(tmp_path: Path) -> None:
    ref = dataset(tmp_path, dict.fromkeys(range(0, 30, 3), "weather "))
    assert result(judged(tmp_path, ref), "labels_stripped").outcome == "tolerated"
    strict = judged(tmp_path, ref, labels_stripped=Rule(severity="critical", tolerance=0.0))
    assert strict.verdict.outcome == "fail"


def test_what_was_not_seen_is_not_looked_at(tmp_path: Path) -> None:
    found = judged(tmp_path, dataset(tmp_path, {}))
    assert not result(found, "joined_labels").looked_at and not result(found, "missing_words").looked_at
    assert result(found, "unseen_labels").outcome == "met"


def test_doubts_and_absent_sources_reach_terminal_page_and_findings(tmp_path: Path) -> None:
    absent = SourceSpec(path="${HEADGATE_NO_SUCH}/b.csv", optional=True, heads={"topic": "topic"})
    ref = dataset(tmp_path, dict.fromkeys(range(0, 60, 3), "nan"), {"later": absent})
    found = judged(tmp_path, ref)
    quality = write_quality(ref.path, found, tmp_path / "reports", name="kitchen", known=Known())
    [said] = [line for line in quality.warnings if "missing_words" in line]
    assert 'paste `sources.rows.heads.topic: {column: topic, missing: ["nan"]}`' in said
    assert any("`later` is optional and absent" in line for line in quality.warnings)
    page = Path(quality.pages["Data quality"]).read_text(encoding="utf-8")
    assert "looks like a word for a missing label" in page and "is optional and absent" in page
    assert any("missing_words:topic" in html for html in found.pages.values())  # Data Docs
    rows = pq.read_table(found.offending_parquet).to_pylist()
    places = [(row["line"], row["value"]) for row in rows if row["rule"] == "missing_words"]
    assert len(places) == found.offending_totals["missing_words"] == 20 and places[0] == (2, "nan")


def test_rows_of_a_label_without_training_rows_are_judged_by_their_share(tmp_path: Path) -> None:
    new = SourceSpec(path="new.csv", split="test", heads={"topic": "topic"})
    for name, count, outcome in (("few", 2, "tolerated"), ("many", 40, "not met")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "new.csv").write_text(
            "text,topic\n" + "".join(f"saw number {n},tool\n" for n in range(count))
        )
        verdict = judged(folder, dataset(folder, {}, {"new": new}))
        unseen = result(verdict, "unseen_labels")
        assert unseen.outcome == outcome and f"'tool' on {count} rows, left out of the head" in unseen.reason
        assert verdict.verdict.outcome == ("pass" if outcome == "tolerated" else "fail")
