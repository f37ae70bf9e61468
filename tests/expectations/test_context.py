"""The context in the state folder: a user of Great Expectations opens it and continues; it keeps no text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expectations.data.check import VALUES_BETWEEN, VALUES_IN_SET, Check, CheckResult
from expectations.data.gx.project import GxProject, keep_results, read_history
from expectations.spec import Severity

HOSTILE = '<img src="https://example.org/x.png" onerror=alert(1)>'


def counted(name: str, count: int, *, tolerance: float = 0.0, severity: Severity = "critical") -> CheckResult:
    """Of 1,000 rows `count` break it."""
    check = Check(
        rule=name,
        expected="its labels are known ones",
        severity=severity,
        tolerance=tolerance,
        table="observations",
        type=VALUES_IN_SET,
        kwargs={"column": name, "mostly": 1.0 - tolerance},
        head="topic",
    )
    broken = count > 1000 * tolerance
    return CheckResult(check=check, outcome="not met" if broken else "met", count=count, elements=1000)


def figure(name: str, value: float, outcome: Any = "met", **bounds: float) -> CheckResult:
    check = Check(
        rule="extra[0]",
        called=name,
        expected=f"a figure of {HOSTILE}",
        severity="warning",
        tolerance=0.0,
        table="figures",
        type=VALUES_BETWEEN,
        kwargs={"column": name, **bounds},
    )
    return CheckResult(check=check, outcome=outcome, observed=value)


FIRST = [
    counted("labels_known", 0),
    counted("one_answer", 15, tolerance=0.02),
    figure("rows", 40, min_value=30),
]
SECOND = [counted("labels_known", 200), FIRST[1], figure("rows", 20, "not met", min_value=30)]


def place(root: Path, run: str) -> GxProject:
    return GxProject(root=root, lock=root / "gx.lock", name="my-shop", run=run)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with two runs."""
    root = tmp_path_factory.mktemp("home")
    assert not keep_results(place(root, "run-1"), FIRST).problem
    past = keep_results(place(root, "run-2"), [*SECOND, figure(HOSTILE, 2.0, max_value=3.0)])
    assert not past.problem
    return root


def test_a_user_opens_the_folder_and_runs_the_checkpoint_by_name(kept: Path) -> None:
    """And finds the same verdict, expectation by expectation, as the run did."""
    import great_expectations as gx

    context = gx.get_context(project_root_dir=kept)
    result = context.checkpoints.get("my-shop").run()
    assert not result.success
    [found] = result.run_results.values()
    met = {one.expectation_config.kwargs["column"]: one.success for one in found.results}
    assert met.pop("extra[0]", True)
    assert {name: ok for name, ok in met.items() if not name.startswith("&lt;")} == {
        "labels_known[topic]": False,
        "one_answer[topic]": True,
        "rows": False,
    }
    said = {one.expectation_config.description for one in found.results}
    assert "`topic`: its labels are known ones (at least 98% of rows) · one_answer[topic]" in said
    severities = {str(one.expectation_config.severity.value) for one in found.results}
    assert severities == {"critical", "warning"}
    assert context.suites.get("my-shop").expectations
    assert context.validation_definitions.get("my-shop").batch_definition.name == "newest"


def test_each_expectation_has_its_history(kept: Path) -> None:
    past = read_history(kept, "my-shop")
    assert past.runs[:2] == ("run-1", "run-2")
    labels = past.values["labels_known[topic]"][:2]
    assert [(one.met, one.value) for one in labels if one] == [(True, 1.0), (False, 0.8)]
    assert [one.value for one in past.values["rows"][:2] if one] == [40.0, 20.0]
    assert "__none__" not in past.runs
    assert past.values[HOSTILE][0] is None, "it was not asked then"


def test_data_docs_are_built_offline_and_escaped(kept: Path) -> None:
    pages = list((kept / "gx" / "uncommitted" / "data_docs").rglob("*.html"))
    assert len(pages) >= 4  # index, suite, two runs
    for file in pages:
        page = file.read_text(encoding="utf-8")
        assert "default-src 'none'" in page
        assert not re.search(r"<(script|link|iframe)\b", page, re.IGNORECASE)
        assert not re.search(r"(src|href)=[\"']?(https?:)?//|url\([\"']?https?:", page, re.IGNORECASE)
        assert '<img src="https' not in page
    [suite] = [file for file in pages if file.name == "my-shop.html" and file.parent.name == "expectations"]
    assert "&lt;img" in suite.read_text(encoding="utf-8")


def test_it_can_be_moved_and_run_again(kept: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    kept.rename(moved)
    try:
        assert not keep_results(place(moved, "run-3"), FIRST).problem
        text = (moved / "gx" / "great_expectations.yml").read_text()
        assert str(kept) not in text
        assert "analytics_enabled: false" in text
    finally:
        moved.rename(kept)


def test_what_could_not_be_evaluated_is_not_met_there_either(tmp_path: Path) -> None:
    broken = replace(FIRST[0], outcome="could not be evaluated", elements=None, count=None)
    unknown = replace(figure("drift", 0.0, max_value=0.2), outcome="could not be evaluated", observed=None)
    past = keep_results(place(tmp_path, "run-1"), [broken, unknown])
    assert not past.problem
    assert [one.met for values in past.values.values() for one in values if one] == [False, False]


def test_a_damaged_context_is_told_and_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "gx").mkdir()
    (tmp_path / "gx" / "great_expectations.yml").write_text("config_version: [")
    past = keep_results(place(tmp_path, "run-1"), FIRST)
    assert "could not be brought up to date" in past.problem and "move it away" in past.problem
    assert past.runs == ()


def test_a_later_run_changes_what_has_changed_and_leaves_what_a_user_added(tmp_path: Path) -> None:
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction

    def ids() -> dict[str, str]:
        suite = gx.get_context(project_root_dir=tmp_path).suites.get("my-shop")
        return {str(one.column): str(one.id) for one in suite.expectations}

    assert not keep_results(place(tmp_path, "run-1"), FIRST).problem
    first = ids()
    checkpoint = gx.get_context(project_root_dir=tmp_path).checkpoints.get("my-shop")
    checkpoint.actions.append(UpdateDataDocsAction(name="mine", site_names=[]))
    checkpoint.save()
    other = [FIRST[0], counted("one_answer", 15, tolerance=0.05), figure("rows", 40, min_value=30)]
    assert not keep_results(place(tmp_path, "run-2"), other).problem
    second = ids()
    assert {name for name in first if first[name] != second[name]} == {"one_answer[topic]"}
    assert not keep_results(place(tmp_path, "run-3"), other[:1]).problem
    assert ids() == {"labels_known[topic]": first["labels_known[topic]"]}
    checkpoint = gx.get_context(project_root_dir=tmp_path).checkpoints.get("my-shop")
    assert [one.name for one in checkpoint.actions] == ["data docs", "mine"]
    assert checkpoint.run().success
