"""Fields set from outside: same bounds and messages as in the file, which option or variable is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flows.cli.commands import main
from flows.config.load import load_project
from flows.config.messages import ConfigError
from flows.config.settings import given_settings, keep_options, put_in

SMALLEST = """
name: support
backbone: offline
heads: {intent: multiclass}
sources:
  tickets: {path: tickets.csv, heads: {intent: intent}}
gates:
  slices: [{column: source, margin: 0.1}]
"""


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "project.yaml"
    path.write_text(SMALLEST)
    return path


def test_the_command_line_wins_over_the_environment_and_both_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_TRAIN__EPOCHS", "7")
    monkeypatch.setenv("HEADGATE_TRAIN__MAX_LENGTH", "64")
    monkeypatch.setenv("HEADGATE_BACKBONE", "bert-base-uncased")
    keep_options(["train.epochs=5", "gates.margins.intent=0.1"])
    project = load_project(config)
    assert (project.train.epochs, project.train.max_length) == (5, 64)
    assert project.gates.margins == {"intent": 0.1}
    assert project.backbone.name == "bert-base-uncased"
    assert load_project(config, backbone="offline").backbone.name == "offline"


def test_a_field_below_a_word_that_stands_for_a_section(config: Path) -> None:
    keep_options(
        [
            "backbone.layers=3",
            "heads.intent.weight=2",
            "sources.tickets.heads.intent.missing=[nan]",
            "gates.slices.0.margin=0.2",
            "label_check.folds=4",
        ]
    )
    project = load_project(config)
    assert (project.backbone.name, project.backbone.layers) == ("offline", 3)
    assert (project.heads["intent"].kind, project.heads["intent"].weight) == ("multiclass", 2.0)
    assert project.sources["tickets"].targets["intent"].missing == ("nan",)
    assert project.gates.slices[0].margin == 0.2


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("train.epochs=0", "--set train.epochs: train.epochs: saw 0, expected greater than or equal to 1"),
        ("train.epoch=3", "train.epoch: unknown field (did you mean `epochs`?)"),
        ("trian.epochs=3", "trian: unknown field (did you mean `train`?)"),
        ("train.epochs", "--set train.epochs: expected FIELD=VALUE"),
        ("name.first=a", "--set name.first: name is a plain value and has no fields"),
        ("gates.slices.4.margin=0.1", "--set gates.slices.4.margin: "),
        ("train.epochs=[", "--set train.epochs: the value is not valid YAML"),
        ("registry.tracking_uri=http://me:n0b0dys@host", "a password or token"),
    ],
)
def test_what_is_wrong_names_the_option(config: Path, option: str, said: str) -> None:
    keep_options([option])
    with pytest.raises(ConfigError) as caught:
        load_project(config)
    assert said in str(caught.value) and "n0b0dys" not in str(caught.value)


def test_what_is_wrong_names_the_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_TRAIN__EPOCHS", "none")
    monkeypatch.setenv("HEADGATE_TRIAN__EPOCHS", "3")
    with pytest.raises(ConfigError) as caught:
        load_project(config)
    assert "HEADGATE_TRAIN__EPOCHS: train.epochs: saw" in str(caught.value)
    assert "HEADGATE_TRIAN__EPOCHS: the configuration has no section 'trian' (did you mean" in str(
        caught.value
    )


def test_variables_of_other_purposes_are_left_alone() -> None:
    environment = {"HEADGATE_HOME": "/srv", "HEADGATE_DATA": "/data", "HEADGATE_CONSOLE": "1", "PATH": "/bin"}
    assert given_settings([], ["train"], environment) == ([], [])


def test_a_list_is_set_by_position() -> None:
    raw = {"names": ["a", "b"]}
    settings, _ = given_settings(["names.1=c"], ["names"], {})
    assert list(put_in(raw, settings)) == [] and raw == {"names": ["a", "c"]}


def test_commands_that_read_a_configuration_take_it(config: Path) -> None:
    reads = {"config", "configs", "project"}
    named = [
        name
        for name, command in main.commands.items()
        if reads & {one.name for one in command.params if isinstance(one, click.Argument)}
    ]
    assert {"retrain", "validate", "sweep", "check", "adopt", "schedule", "up", "clean", "notify-test"} == {
        *named
    }
    for command in named:
        done = CliRunner().invoke(main, [command, str(config), "--set", "train.epochs=0"])
        assert done.exit_code == 2 and "--set train.epochs" in done.output, (command, done.output)
