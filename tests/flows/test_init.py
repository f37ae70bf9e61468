"""`headgate init`: the configuration that it writes loads, says why, and its data are accepted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.cli.commands import main
from flows.config.load import load_project
from flows.init.asking import Asker
from flows.init.margins import decidable_margins
from model.spec import HeadSpec
from sources.look.peek import peek
from tests.support.shop_files import write_chats, write_flags, write_lines, write_sheet, write_tickets


@pytest.fixture
def kept_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def run(*arguments: object, answers: str | None = None) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], input=answers)


def test_two_files_become_a_project_whose_data_are_accepted(
    tmp_path: Path, kept_environment: None, prefect_harness: None
) -> None:
    files = [write(tmp_path) for write in (write_tickets, write_chats)]
    done = run("init", *files, "--name", "my-shop", "--out", tmp_path / "my-shop.yaml", "--yes")
    assert done.exit_code == 0, done.output
    assert "headgate retrain" in done.output and "`channel` is not learned" in done.output
    text = (tmp_path / "my-shop.yaml").read_text()
    assert "test rows decide this; 0.015 would need about" in text
    project = load_project(tmp_path / "my-shop.yaml")
    assert {name: head.kind for name, head in project.heads.items()} == {
        "topic": "multiclass",
        "tags": "multilabel",
    }
    assert project.name == "my-shop" and project.backbone.name == "offline"
    assert project.sources["tickets"].text == "message"
    assert project.gates.margins["topic"] > 0.015
    validated = run("validate", tmp_path / "my-shop.yaml", "--home", tmp_path / "home")
    assert validated.exit_code == 0 and "Data accepted" in validated.output, validated.output


@pytest.mark.slow
def test_every_way_of_writing_a_file_is_accepted(
    tmp_path: Path, kept_environment: None, prefect_harness: None
) -> None:
    files = [write(tmp_path) for write in (write_tickets, write_lines, write_flags, write_sheet)]
    config = tmp_path / "all.yaml"
    done = run("init", *files, "--out", config, "--name", "all", "--yes")
    assert done.exit_code == 0, done.output
    assert load_project(config).sources["lines"].split_column == "split"
    validated = run("validate", config, "--home", tmp_path / "home")
    assert validated.exit_code == 0, validated.output


def test_few_rows_get_more_validation_rows_and_a_wider_margin(tmp_path: Path) -> None:
    file = write_tickets(tmp_path, rows=160)
    done = run("init", file, "--out", tmp_path / "few.yaml", "--yes")
    assert done.exit_code == 0, done.output
    project = load_project(tmp_path / "few.yaml")
    assert project.name == "tickets"
    assert project.split.validation > 0.15
    assert project.gates.margin >= 0.08
    assert project.gates.champion_margin == project.gates.margin


def test_too_few_rows_are_said_and_the_file_is_written(tmp_path: Path) -> None:
    done = run("init", write_tickets(tmp_path, rows=40), "--out", tmp_path / "few.yaml", "--yes")
    assert done.exit_code == 3
    assert "at least 20 are needed" in done.output and (tmp_path / "few.yaml").is_file()


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    file, out = write_chats(tmp_path), tmp_path / "mine.yaml"
    out.write_text("mine")
    assert run("init", file, "--out", out, "--yes").exit_code == 2 and out.read_text() == "mine"
    assert run("init", file, "--out", out, "--yes", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--head", "topics"), "no file has a column 'topics' (did you mean `topic`?)"),
        (("--text", "msg"), "no file has a column 'msg'"),
        (("--name", "My Shop"), "expected lower-case letters"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("init", write_tickets(tmp_path), "--out", tmp_path / "a.yaml", "--yes", *arguments)
    assert done.exit_code == 2 and said in done.output
    assert not (tmp_path / "a.yaml").exists()


def test_columns_that_are_named_are_taken(tmp_path: Path) -> None:
    file = write_tickets(tmp_path)
    out = tmp_path / "a.yaml"
    done = run(
        "init", file, "--out", out, "--yes", "--head", "channel", "--head", "topic", "--text", "message"
    )
    assert done.exit_code == 0, done.output
    assert sorted(load_project(out).heads) == ["channel", "topic"]


def test_files_that_can_not_be_read_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.pdf").write_bytes(b"%PDF")
    done = run("init", tmp_path / "a.csv", tmp_path / "b.pdf", "--yes", "--out", tmp_path / "a.yaml")
    assert done.exit_code == 3
    assert "a.csv" in done.output and "b.pdf" in done.output


def test_a_margin_that_the_rows_decide_is_the_default() -> None:
    def margin(rows: int) -> tuple[float, int | None]:
        counts = {"labelled": rows, "counts": {"a": rows // 2, "b": rows - rows // 2}}
        profile = {"heads": {"topic": {"splits": {"test": counts}}}}
        one = decidable_margins(profile, {"topic": HeadSpec(kind="multiclass", labels=("a", "b"))})["topic"]
        return one.margin, one.needed

    assert margin(8000) == (0.015, None)
    few, needed = margin(500)
    # Nam (1997): (1.645 + 1.282) · sqrt(0.1 / 500) = 0.0414; 0.015 needs 0.1 · (2.927 / 0.015)² = 3,800.
    assert 0.04 <= few <= 0.05 and needed is not None and 3_400 <= needed <= 5_000
    assert margin(0) == (0.015, None)


def test_on_a_terminal_it_asks_where_it_is_not_sure(tmp_path: Path) -> None:
    rows = [f"this is a text {n},and this is a longer body {n},{'ab'[n % 2]},mail{n % 2}" for n in range(40)]
    file = tmp_path / "rows.csv"
    file.write_text("first,second,topic,channel\n" + "\n".join(rows) + "\n")
    with CliRunner().isolation(input="first\ny\n") as (out, *_):
        found = Asker(asks=True).looked_at(peek(file))
        said = out.getvalue().decode()
    assert found.text == "first"
    assert [c.name for c in found.columns if c.role == "head"] == ["topic", "channel"]
    assert "which column is the text?" in said and "shall the model learn `channel`" in said
