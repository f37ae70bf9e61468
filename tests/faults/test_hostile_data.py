"""Hostile strings as texts, labels, groups and file names: nothing is active in any page, artifact or CSV."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from expectations.data.offending_rows import FORMULA_SIGNS
from expectations.verdict import Finding, Verdict
from report.ending import Shown
from tasks.report.publish_artifacts import publish_artifacts
from tests.support.html import without_own_script

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</title><svg/onload=alert(1)>",
    '"><iframe src="javascript:alert(1)"></iframe>',
    "' onmouseover='alert(1)",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "{{ 7 * 7 }}{% raw %}",
    "${jndi:ldap://127.0.0.1/x}",
    '=HYPERLINK("http://127.0.0.1","x")',
    "+cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(1+1)",
    "\t=1+1",
    "＝1+1",
)
ACTIVE = {"script", "iframe", "object", "embed", "img", "base", "form", "link", "meta-refresh"}


class Looker(HTMLParser):
    """Collects what could act: tags, event handlers and addresses that run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE:
            self.found.append(tag)
        for name, value in attrs:
            runs = (value or "").strip().lower().startswith(("javascript:", "data:text", "http:", "https:"))
            if name.startswith("on") or (name in ("href", "src", "action") and runs):
                self.found.append(f"{tag} {name}={value}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, prefect_harness: None) -> Iterator[Path]:
    """The state folder after `headgate validate` on hostile data; the data gate refuses them."""
    from flows.cli.commands import main

    folder = tmp_path_factory.mktemp("hostile")
    file = "rows <b>&amp;='x'.jsonl"
    with (folder / file).open("w", encoding="utf-8") as out:
        for split in ("train", "validation", "test"):
            for place, label in enumerate(("food", "weather", *HOSTILE)):
                for number in range(12):
                    row = {"text": f"{label} {split} {number}", "split": split, "mood": label, "who": label}
                    # every other label is none of the head's: it stands as a value in the findings
                    row["topic"] = label
                    row["tags"] = [label, "food"]
                    out.write(json.dumps(row | {"number": place}) + "\n")
    project: dict[str, Any] = {
        "name": "hostile",
        "backbone": "offline",
        "heads": {
            "topic": {"kind": "multiclass", "labels": ["food", "weather", *HOSTILE[::2]]},
            "mood": {"kind": "multiclass"},
            "tags": {"kind": "multilabel"},
        },
        "sources": {
            "rows": {
                "path": file,
                "split_column": "split",
                "heads": {"topic": "topic", "mood": "mood", "tags": "tags"},
            }
        },
        "expectations": {
            "extra": [
                {
                    "type": "expect_column_values_to_not_match_regex",
                    "kwargs": {"column": "text", "regex": HOSTILE[0]},
                }
            ]
        },
    }
    config = folder / "project.yaml"
    config.write_text(yaml.safe_dump(project, allow_unicode=True), encoding="utf-8")
    environment = dict(os.environ)
    done = CliRunner().invoke(main, ["validate", str(config), "--home", str(folder / "home")])
    os.environ.clear()
    os.environ.update(environment)
    assert done.exit_code == 3, done.output
    yield folder / "home"


def test_no_page_holds_anything_that_acts(home: Path) -> None:
    pages = sorted(home.rglob("*.html"))
    assert len(pages) >= 3
    for page in pages:
        looker = Looker()
        looker.feed(without_own_script(page.read_text(encoding="utf-8")))
        assert looker.found == [], page.name


@pytest.mark.parametrize("hostile", [text for text in HOSTILE if "<" in text])
def test_no_page_holds_markup_as_it_was_written(hostile: str, home: Path) -> None:
    for page in home.rglob("*.html"):
        assert hostile not in page.read_text(encoding="utf-8"), page.name


def test_no_cell_of_a_csv_is_a_formula(home: Path) -> None:
    tables = sorted(home.rglob("*.csv"))
    assert tables
    seen = []
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            seen += [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in seen if cell.lstrip(" ").startswith(FORMULA_SIGNS)]
    assert any(cell.startswith("'") and cell[1:] in HOSTILE for cell in seen)  # they did get there


def test_no_artifact_of_a_run_holds_markup_or_a_link_that_acts(prefect_harness: None) -> None:
    reason = "3 of 9 rows of `mood` have an unlisted label ({!r}), first rows.jsonl:3"
    findings = [
        Finding(subject="labels_known", outcome="fail", reason=reason.format(text)) for text in HOSTILE
    ]

    @flow
    def publish() -> None:
        verdict = Verdict(gate="data", findings=tuple(findings))
        shown = Shown(ending="Rejected", said="the data gate failed", reasons=verdict.reasons)
        publish_artifacts("hostile-words", shown, [], {"Report": "/tmp/](javascript:alert(1))<b>.html"})

    publish()
    with get_client(sync_client=True) as client:
        by_key = ArtifactFilter(key=ArtifactFilterKey(any_=["hostile-words-verdict"]))
        (artifact,) = client.read_artifacts(artifact_filter=by_key)
    said = str(artifact.data)
    assert said.count("3 of 9 rows of") == len(HOSTILE)  # each is told, on a line of its own
    looker = Looker()
    looker.feed(said)
    assert looker.found == []
    assert not set("<>[]()`") & set(said)


def test_the_text_of_rows_is_in_no_page(home: Path) -> None:
    for page in home.rglob("*.html"):
        assert "food train 0" not in page.read_text(encoding="utf-8"), page.name
