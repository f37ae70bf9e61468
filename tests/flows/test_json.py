"""What commands print for programs, take from files, and say in their help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.as_json import json_line, outcome_json
from flows.cli.commands import main
from flows.cli.help import first_sentence
from flows.cli.texts import NoTexts, given_texts, in_batches
from flows.outcome import Outcome

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")


def test_an_outcome_is_one_object_whose_fields_are_documented() -> None:
    outcome = Outcome(
        name="my-shop",
        stage="model_rejected",
        reasons=("topic: too few rows", "http://me:n0b0dys@host"),
        rows=({"subject": "topic", "verdict": "inconclusive"},),
        registered={"version": 3, "run_id": "a", "tracking_uri": "sqlite:///x"},
        undecided=True,
        paste="gates:",
    )
    line = json_line(outcome_json(outcome, "Rejected"))
    found = json.loads(line)
    assert "n0b0dys" not in line and "\n" not in line
    assert (found["stage"], found["state"], found["exit_code"]) == ("model_rejected", "Rejected", 4)
    assert found["paste"] == "gates:"
    assert found["registered"]["version"] == 3 and found["deployed"] is None
    for field in found:
        assert f"| `{field}` |" in DOCS, field


def test_texts_come_from_arguments_files_and_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("one\n\ntwo \r\n", encoding="utf-8-sig")
    assert given_texts(["zero"], [file]) == ["zero", "one", "two "]
    assert [len(batch) for batch in in_batches(["a"] * 130)] == [64, 64, 2]
    with pytest.raises(NoTexts, match="no text was given"):
        given_texts([], [])
    file.write_bytes(b"caf\xe9\n")
    with pytest.raises(NoTexts, match="is not UTF-8"):
        given_texts([], [file])


def test_predict_without_a_text_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["predict", "my-shop", "-", "--home", str(tmp_path)], input="\n")
    assert done.exit_code == 2 and "no text was given" in done.output


def test_the_list_of_commands_cuts_no_sentence() -> None:
    shown = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for name, command in main.commands.items():
        sentence = first_sentence(command.help or "")
        assert sentence and f"{name} {sentence}" in shown, name
