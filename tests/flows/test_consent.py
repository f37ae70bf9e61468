"""Consents as the configuration takes them, and as a run that needs one prints them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from expectations.contract.compare import Contract, compare_answers
from expectations.contract.consent import consents_of
from flows.cli.console import show_outcome
from flows.config.load import gate_rules, load_project
from flows.config.messages import ConfigError
from flows.config.schema import Project
from flows.ending import final_state
from flows.outcome import Outcome
from flows.parts.consent import consent_wanted, consent_yaml, needs_remarks
from model.spec import HeadSpec

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration with this text for its gates."""

    def made(gates: str = "") -> Path:
        path = tmp_path / "project.yaml"
        rows = "{path: rows.csv, heads: {topic: topic, marks: marks}}"
        path.write_text(
            "name: kitchen\nheads: {topic: multiclass, marks: multilabel}\n"
            f"sources: {{rows: {rows}}}\n{gates}",
            encoding="utf-8",
        )
        return path

    return made


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load_project(path)
    return refused.value.problems


def test_lines_are_taken_as_they_are_written(write: Write) -> None:
    """Some of them YAML reads as mappings."""
    path = write(
        "gates:\n  contract:\n    allow:\n      - drop tone\n      - drop marks: cold\n"
        "      - rename topic:weather → climate\n      - kind marks: multiclass -> multilabel\n"
    )
    assert [change.line for change in consents_of(load_project(path).gates.contract.allow)] == [
        "drop tone",
        "drop marks:cold",
        "rename topic:weather → climate",
        "kind marks multiclass → multilabel",
    ]


def test_what_can_not_be_read_is_refused_with_its_place_and_the_right_forms(write: Write) -> None:
    found = problems(write("gates: {contract: {allow: [drop tone, 'drop *', remove topic]}}\n"))
    assert [line.partition(", expected one of: drop HEAD;")[0] for line in found] == [
        'gates.contract.allow[1]: saw "drop *"',
        'gates.contract.allow[2]: saw "remove topic"',
    ]
    [line] = problems(write("gates: {contract: {permit: [drop tone]}}\n"))
    assert line.startswith("gates.contract.permit: unknown field") and "allow" in line


def test_the_general_consent_is_gone_and_says_what_replaces_it(write: Write) -> None:
    [line] = problems(write("gates: {allow_dropped_heads: true}\n"))
    assert line == (
        "gates.allow_dropped_heads: there is no general consent any more; name each head that is meant to "
        "go: `gates.contract.allow: [drop HEAD]` (line 4, column 9)"
    )


def test_records_of_before_are_judged_again_as_they_were() -> None:
    old: dict[str, Any] = {"margin": 0.02, "allow_dropped_heads": False}
    assert gate_rules(old).contract.allow == ()
    assert gate_rules({**old, "allow_dropped_heads": True}, ["tone"]).contract.allow == ("drop tone",)


BEFORE = {
    "topic": HeadSpec(kind="multiclass", labels=("a: b", "news", "weather")),
    "marks": HeadSpec(kind="multiclass", labels=("cold", "drink")),
    "tone": HeadSpec(kind="multiclass", labels=("calm", "loud")),
}
NOW = {
    "topic": HeadSpec(kind="multiclass", labels=("climate", "news")),
    "marks": HeadSpec(kind="multilabel", labels=("drink", "cold")),
}


def contract(project: Project) -> Contract:
    return compare_answers(BEFORE, NOW, consents_of(project.gates.contract.allow))


LINES = [
    "drop topic:a: b",
    "drop topic:weather",
    "kind marks multiclass → multilabel",
    "reorder marks",
    "drop tone",
]


@pytest.mark.parametrize(
    "gates",
    [
        "",
        "gates:\n  margin: 0.02\n",
        "gates:\n  contract: {}\n",
        "gates:\n  contract: {allow: [drop tone, drop other]}\n",
    ],
)
def test_the_lines_that_a_run_prints_make_it_go_on(write: Write, gates: str) -> None:
    """Put where they say, beside what the configuration has; what is used already stays."""
    project = load_project(write(gates))
    pasted = consent_yaml(contract(project), project)
    assert yaml.safe_load(pasted) == {"gates": {"contract": {"allow": LINES}}}
    if gates.startswith("gates:\n  margin"):
        assert "in place of `contract`, if it is there" in pasted
        pasted = gates + pasted.partition("\n")[2]
    again = load_project(write(pasted + "\n"))
    assert contract(again).missing == ()


def test_what_a_person_sees(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = load_project(write())
    wanted = consent_wanted(contract(project), None, project)
    outcome = Outcome(stage="needs_consent", name="kitchen", **wanted)
    show_outcome(outcome, home=tmp_path)
    shown = capsys.readouterr().out
    assert "Needs consent  kitchen: clients would lose something; nothing was trained" in shown
    assert "  • head `tone` is not answered any more" in shown
    assert f"this in the configuration consents to it:\n\n{outcome.paste}\n" in shown
    assert "exit code 4" in shown
    state = final_state(outcome)
    assert state.name == "NeedsConsent" and state.is_failed()
    assert "- drop tone" in (state.message or "")
    assert len(needs_remarks(contract(project), None)) == len(LINES)
