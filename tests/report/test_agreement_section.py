"""What the data quality page says of several people who labelled the same texts, and of what was no label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expectations.data.gate import judge_data
from expectations.known import Known
from expectations.spec import DataRules
from model.spec import HeadSpec
from report.quality.agreement import agreement_section
from report.quality.page import write_quality_page
from report.quality.pages import write_quality
from sources.dataset import build_dataset
from sources.spec import SourceSpec, SplitSpec

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


def test_page_and_terminal_say_how_far_people_agree_and_what_is_no_label(tmp_path: Path) -> None:
    tasks = [
        {"text": f"text {n} kept private", "accept": [label], "answer": answer, "_annotator_id": who}
        for n in range(90)
        for who, label, answer in (
            ("kim", "xy"[n % 2], "accept"),
            ("lea", "xyy"[n % 3], "accept" if n % 9 else "ignore"),
        )
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    sources = {"news": SourceSpec(path="a.jsonl", format="prodigy")}
    heads = {"topic": HeadSpec(kind="multiclass")}
    made = build_dataset(sources, heads, SplitSpec(near_duplicates="off"), tmp_path, tmp_path / "data")
    (source,) = json.loads((made.path / "profile.json").read_text())["sources"]
    figures = source["agreement"]["topic"]
    assert (figures["people"], figures["texts"], figures["answers"]) == (2, 80, 160)
    assert figures["differing"] == figures["tied"] == 40
    # Of 160 answers 60 are x and 100 y.
    assert figures["alpha"] == pytest.approx(1 - 0.5 / (2 * 60 * 100 / (160 * 159)))
    judged = judge_data(made.path, DataRules(), made.heads, tmp_path / "out")
    html = write_quality_page(made.path, judged, tmp_path / "quality.html").read_text(encoding="utf-8")
    html = html.replace("<wbr>", "")
    assert "Agreement of annotators" in html and f"{figures['alpha']:.3f}" in html
    assert "ignored tasks are unlabelled (10)" in html
    assert "annotators are evenly split (40)" in html
    assert "kim" not in html and "private" not in html
    shown = write_quality(made.path, judged, tmp_path / "reports", name="it", known=Known())
    assert any("ignored tasks are unlabelled (10)" in warning for warning in shown.warnings)


@pytest.mark.parametrize(("alpha", "shown"), [(None, "not defined"), (0.6744, "0.674")])
def test_alpha_is_shown_or_said_to_be_undefined(alpha: Any, shown: str) -> None:
    figures = {"texts": 3, "people": 2, "answers": 6, "differing": 0, "tied": 0, "alpha": alpha}
    found = agreement_section({"sources": [{"name": "a", "agreement": {"h": figures}}, {"name": "b"}]})
    assert found is not None and shown in str(found)
    assert agreement_section({"sources": [{"name": "b"}]}) is None
