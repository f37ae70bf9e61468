"""The release report: everything is on it, nothing is fetched or run, names are escaped, gaps are told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from expectations.gates.champion import judge_champion
from expectations.gates.latency import judge_latency
from expectations.verdict import Finding, Outcome, Verdict
from model.spec import HeadSpec
from report.changes import ChangeTable
from report.page import Onward, add_link, badge, table
from report.page import page as render_page
from report.release.page import ReleaseReport, render_release
from tests.support.html import without_own_script
from tests.support.release_reports import NASTY, RULES, history, read, report


@pytest.mark.parametrize("wide", [False, True])
def test_nothing_is_run_or_fetched_and_everything_is_escaped(wide: bool) -> None:
    page = without_own_script(render_release(report(wide=wide)))
    reader = read(page)
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not any(name.startswith("on") for name in names) and "src" not in names
    links = [value for name, value in reader.attributes if name == "href"]
    assert links and all(link is not None and re.fullmatch(r"#[\w-]+|[\w.-]+\.html", link) for link in links)
    assert NASTY not in page and "&lt;img src=x" in page
    assert "url(" not in page and "@import" not in page
    assert reader.open == [], "a tag was left open"


def test_every_part_is_there() -> None:
    page = render_release(report())
    for title in ("Verdict", "Heads", "Head topic", "Head emotion", "Training", "Latency and memory", "Data"):
        assert f"<h2>{title}</h2>" in page
    for figure in (
        "A/A control",
        "Confusion matrix of the shared model",
        "F1 by label, most frequent first",
        "topic: training loss",
        "emotion: validation macro_f1",
        "all baselines in turn",
        "Median of each block",
        "Median by length of text",
        "Length of training texts",
        "versions.torch",
        "a processor",
        "0.080 → 0.030 on validation rows (temperature 1.40, fitted there)",
        "version 6",
    ):
        assert figure in page, figure


def test_the_page_says_on_how_many_rows_the_champion_was_compared() -> None:
    given = report()
    assert "Compared with it on test rows" not in render_release(given), "nothing served before"
    rows = next(iter(given.shared.values())).targets.shape[0]
    seen = np.arange(rows) < 121
    verdict = judge_champion(given.shared, given.baselines, RULES, given.heads, seen=seen)
    page = render_release(replace(given, verdict=verdict))
    assert "Compared with it on test rows" in page
    assert f"{rows - 121:,} of {rows:,} rows" in page and "121 are left out" in page


def test_figures_agree_with_the_verdict() -> None:
    given = report()
    page = render_release(given)
    first = given.verdict.findings[0].figures
    assert f"{first['shared']:.3f}" in page
    assert f"{first['difference']:+.3f} [{first['lower']:+.3f}, {first['upper']:+.3f}]" in page
    for finding in given.verdict.findings:
        assert finding.outcome == "pass" or finding.reason.replace("'", "&#39;") in page


def test_many_labels_are_listed_not_drawn() -> None:
    page = render_release(report(wide=True))
    assert (
        "Confusion matrix" not in page
        and "Most frequent confusions" in page
        and "Labels that differ most" in page
    )
    assert "Precision, recall and F1 of all 40 labels" in page


def test_what_is_missing_is_said() -> None:
    bare = ReleaseReport(
        name="support",
        run="r",
        created="now",
        verdict=Verdict(gate="release", findings=()),
        heads={"topic": HeadSpec(kind="multiclass", labels=("a", "b"))},
        shared={},
    )
    page = render_release(bare)
    for words in (
        "looked at nothing, which is never a pass",
        "No head could be compared",
        "not scored on any labelled row",
        "Nothing was timed",
        "has no profile",
        "topic: training loss: nothing was recorded",
        "Nothing was recorded",
    ):
        assert words in page, words


def test_figures_that_are_not_finite_do_not_break_the_page() -> None:
    given = report()
    assert given.timings is not None
    total_ms = given.timings.total_ms.copy()
    total_ms[:5] = np.nan
    timings = replace(given.timings, total_ms=total_ms)
    verdict = judge_latency(timings, RULES, list(given.heads))
    broken = replace(given, timings=timings, verdict=verdict)
    page = render_release(broken)
    assert not re.search(r"\b(nan|inf)\b", page)
    assert "the timings are broken" in page


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_has_a_tone(outcome: Outcome) -> None:
    assert "neutral" not in badge(outcome)


FAILS = Finding(subject="topic vs majority", outcome="fail", reason="topic learned nothing")
OPEN = Finding(subject="mood", outcome="inconclusive", reason="mood has too few rows")
PASSES = Finding(subject="threads", outcome="pass", reason="timed as declared", remark="a word to the wise")


@pytest.mark.parametrize(
    ("known", "sentence", "first"),
    [
        (
            {"verdict": Verdict(gate="release", findings=(PASSES, OPEN, FAILS)), "champion": "version 2"},
            "Version 3 does not ship: of 3 checks 1 failed and 1 could not be decided. "
            "Version 2 goes on serving.",
            ["topic learned nothing", "mood has too few rows", "a word to the wise"],
        ),
        (
            {"verdict": Verdict(gate="release", findings=(PASSES, OPEN))},
            "Version 3 does not ship: of 2 checks 1 could not be decided. Nothing serves.",
            ["mood has too few rows"],
        ),
        (
            {"verdict": Verdict(gate="release", findings=(PASSES,)), "deployed": {"version": 3, "url": "u"}},
            "Version 3 serves: it passed its one check.",
            ["a word to the wise"],
        ),
        (
            {
                "verdict": Verdict(gate="release", findings=(PASSES,)),
                "undone": "the endpoint answered otherwise.",
                "champion": "version 2",
            },
            "Version 3 passed every check, but its deployment was taken back: the endpoint answered "
            "otherwise. Version 2 goes on serving.",
            ["the endpoint answered otherwise."],
        ),
        (
            {
                "verdict": Verdict(gate="release", findings=(PASSES,)),
                "deployed": {"version": 3, "url": "u"},
                "watched": "too little traffic to tell: 37 of 200; watched for 30 minutes",
            },
            "Version 3 serves: it passed its one check. Too little traffic to tell: 37 of 200; watched for "
            "30 minutes.",
            ["a word to the wise"],
        ),
        (
            {
                "verdict": Verdict(gate="release", findings=(PASSES,)),
                "deployed": {"version": 2, "url": "u"},
                "taken_back": "9 of 60 requests failed",
                "champion": "version 2",
            },
            "Version 3 passed every check, was deployed and taken back: 9 of 60 requests failed. Version 2 "
            "goes on serving.",
            ["9 of 60 requests failed"],
        ),
        (
            {
                "verdict": Verdict(gate="release", findings=(PASSES,)),
                "held": "version 2 serves by now: run `headgate judge toy 3`",
                "champion": "version 1",
            },
            "Version 3 passed every check and stays a candidate: version 2 serves by now: run "
            "`headgate judge toy 3`.",
            ["version 2 serves by now"],
        ),
        (
            {
                "verdict": Verdict(gate="release", findings=(PASSES,)),
                "unconfirmed": "whether version 3 answers as it was judged is not known: status 401",
                "champion": "version 2",
            },
            "Version 3 passed every check and is the champion, but whether version 3 answers as it was "
            "judged is not known: status 401.",
            ["status 401"],
        ),
        (
            {"verdict": Verdict(gate="release", findings=())},
            "Version 3 does not ship: nothing was checked. Nothing serves.",
            ["the release gate looked at nothing"],
        ),
    ],
    ids=[
        "failed",
        "inconclusive",
        "deployed",
        "undone",
        "watched",
        "taken back",
        "held",
        "unconfirmed",
        "unchecked",
    ],
)
def test_why_it_ships_or_not_stands_first(known: dict[str, Any], sentence: str, first: list[str]) -> None:
    given = ReleaseReport(
        **{"name": "toy", "run": "r", "created": "now", "heads": {}, "shared": {}}
        | {"registered": {"version": 3}}
        | known
    )
    page = render_release(given)
    opening = page[page.index("<h1>") : page.index('<section id="verdict">')]
    assert sentence in opening
    assert [words for words in first if words not in opening] == []
    places = [opening.index(words) for words in first]
    assert places == sorted(places)


def test_a_pass_says_what_came_nearest_to_its_limit() -> None:
    given = replace(report(), registered={"version": 3}, deployed={"version": 3, "url": "u"})
    page = render_release(replace(given, verdict=judge_latency(given.timings, RULES, list(given.heads))))
    opening = page[page.index('<section id="why-it-ships">') : page.index('<section id="verdict">')]
    assert "the budget is 1,000 ms" in opening
    assert "times as long as the baselines, at most 0.8 times is allowed" in opening


def test_a_page_of_nine_heads_stays_small() -> None:
    given = report(wide=True)
    heads = {f"{name} {number}": head for number in range(5) for name, head in given.heads.items()}
    many = replace(
        given,
        heads=heads,
        shared={name: given.shared[name.split()[0]] for name in heads},
        baselines={name: given.baselines[name.split()[0]] for name in heads},
        histories={"shared": history(list(heads)), **{f"baseline:{h}": history([h]) for h in heads}},
    )
    assert len(render_release(many).encode()) < 3_000_000


def test_figures_of_a_label_without_test_rows_are_a_dash_and_remarks_are_shown() -> None:
    given = report()
    emotion = given.shared["emotion"]
    targets, decisions = emotion.targets.copy(), emotion.decisions.copy()
    targets[:, 27] = 0  # no test row, and answered somewhere
    decisions[:, 26] = 0  # rows, and never answered
    shared = {**given.shared, "emotion": replace(emotion, targets=targets, decisions=decisions)}
    baselines = {**given.baselines, "emotion": replace(given.baselines["emotion"], targets=targets)}
    remark = "too few test rows to tell whether 'feeling 9' is found"
    said = Finding(subject="emotion labels", outcome="pass", reason="fine", remark=remark)
    verdict = Verdict(gate="release", findings=(*given.verdict.findings, said))
    page = render_release(replace(given, shared=shared, baselines=baselines, verdict=verdict))
    rows = {
        cells[0]: cells[1:]
        for row in re.findall(r"<tr>(.*?)</tr>", page)
        if len(cells := re.findall(r"<td[^>]*>(.*?)</td>", row)) == 9
    }
    assert rows["feeling 27"] == ["0", *["–"] * 7]
    assert rows["feeling 26"][1:4] == ["–", "0.000", "0.000"]
    assert "<h3>Remarks</h3>" in page and remark.replace("'", "&#39;") in page


def test_the_head_of_the_page_links_to_the_others_and_says_what_to_do_next() -> None:
    given = report()
    page = render_release(given)
    head = page.partition("<main>")[0]
    assert '<a href="quality.html">Data quality</a>' in head and "javascript:" not in head
    undecided = replace(given, deployed={}, name="shop")
    assert undecided.verdict.outcome == "inconclusive"
    head = render_release(undecided).partition("<main>")[0]
    assert "<code>headgate judge shop 7</code> judges it again" in head
    assert "headgate promote shop 7 --override &#34;why&#34; --expires 7d" in head
    assert "<code>headgate predict shop" in render_release(replace(given, name="shop"))


def test_what_changed_since_the_champion_is_metrics_configuration_and_data() -> None:
    given = report()
    compared = judge_champion(given.shared, given.baselines, RULES, given.heads)
    changed = ChangeTable(version=6, said=("`topic`: 1 label is new",), rows=(("all texts", "train", 9, 11),))
    page = render_release(
        replace(given, verdict=compared, changed=changed, besides=("Configuration: gates.margins.topic.",))
    )
    part = page.partition('<section id="changed-since-version-6">')[2].partition("</section>")[0]
    for words in ("This version", "macro_f1", "Configuration: gates.margins.topic.", "1 label is new", "+2"):
        assert words in part, words


def test_checks_without_a_figure_are_one_line_below_the_table() -> None:
    page = render_release(report())
    shown = page.partition('<section id="verdict">')[2].partition("</table>")[0]
    assert "Also passed, without a figure: first model, threads." in page
    assert "first model" not in shown and "A/A control" in shown and "1 ± 0.05 (± 0.15)" in shown


def test_long_tables_sort_and_those_of_many_columns_become_cards_on_a_phone() -> None:
    few, many = table("ab", [("x", 1)] * 3), table("abcd", [("x", 1, 2, 3)] * 4)
    assert 'class=""' in few and "data-label" not in few
    grouped = table("ab", [("x", 1), ("", 2), ("y", 1), ("", 2)])
    assert "sortable" not in grouped, "sorted, its rows would lose what they belong to"
    assert '<table class="sortable stack">' in many and '<td class="" data-label="d">3</td>' in many


def test_a_page_gets_a_link_to_one_that_was_made_later_once(tmp_path: Path) -> None:
    file = tmp_path / "quality.html"
    file.write_text(
        render_page("Data", "said", [], onward=Onward([("Data Docs", "docs.html")])), encoding="utf-8"
    )
    for _ in range(2):
        add_link(file, "Report", "report.html")
    assert file.read_text(encoding="utf-8").count('<a href="report.html">Report</a>') == 1
