"""What must be refused is refused with one clear message, and nothing is registered or moved."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


def rows(
    labels: tuple[str, ...] = ("food", "weather"), splits: tuple[str, ...] = ("train", "validation", "test")
) -> str:
    lines = ["text,topic,split"]
    for split in splits:
        for label in labels:
            lines += [f"{label} in {split} number {n},{label},{split}" for n in range(30)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_harness: None
) -> Iterator[dict[str, Any]]:
    (tmp_path / "rows.csv").write_text(rows(), encoding="utf-8")
    environment = dict(os.environ)
    yield {
        "name": "refused",
        "backbone": "offline",
        "heads": {"topic": {"kind": "multiclass"}},
        "sources": {"rows": {"path": "rows.csv", "split_column": "split", "heads": {"topic": "topic"}}},
        "deploy": {"port": 0},
    }
    os.environ.clear()
    os.environ.update(environment)


def retrain(folder: Path, project: dict[str, Any] | str, command: str = "retrain") -> tuple[int, str]:
    """Exit code and everything that was said; `command` takes a configuration too."""
    from flows.cli.commands import main

    config = folder / "project.yaml"
    text = project if isinstance(project, str) else yaml.safe_dump(project)
    config.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, [command, str(config), "--home", str(folder / "home")])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def assert_nothing_was_registered_or_moved(folder: Path) -> None:
    home = folder / "home"
    assert not list((home / "releases").glob("*")) if home.exists() else True
    assert not list((home / "mlflow").glob("artifacts/*/models/*")) if home.exists() else True
    assert not list((home / "cache").glob("baselines/*")) if home.exists() else True


def changed(project: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *where, last = path.split(".")
    place = project
    for part in where:
        place = place[part]
    place[last] = value
    return project


@pytest.mark.parametrize(
    ("path", "value", "code", "said"),
    [
        ("sources.rows.path", "absent.csv", 3, "absent.csv: there is no such file"),
        ("sources.rows.text", "txt", 3, "text"),
        ("sources.rows.heads", {"topic": "topics"}, 3, "topics"),
        ("backbone", "./no-such-folder", 2, "is not a folder"),
        ("heads.topic.kind", "multiclas", 2, "expected 'multiclass' or 'multilabel'"),
        ("name", "Not A Name", 2, "lower-case letters"),
    ],
    ids=[
        "missing file",
        "wrong text column",
        "wrong label column",
        "no backbone",
        "kind",
        "name",
    ],
)
def test_what_the_configuration_names_must_be_there(
    tmp_path: Path, project: dict[str, Any], path: str, value: Any, code: int, said: str
) -> None:
    exit_code, output = retrain(tmp_path, changed(project, path, value))
    assert exit_code == code, output
    assert said in output.replace("\n", " ")
    assert "Traceback" not in output
    assert_nothing_was_registered_or_moved(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (rows(splits=("train", "validation")), "test"),
        (rows() + "".join(f"extra text {n},sports,test\n" for n in range(10)), "sports"),
        (rows(labels=("food",)), "food"),
        ("text,topic,split\n", "rows.csv"),
        ("", "rows.csv"),
        (rows() + "one,two,three,four\n", "rows.csv"),
    ],
    ids=["empty split", "label only in test", "single class", "header only", "empty file", "ragged row"],
)
def test_data_that_cannot_be_trained_on_is_named(
    tmp_path: Path, project: dict[str, Any], content: str, said: str
) -> None:
    (tmp_path / "rows.csv").write_text(content, encoding="utf-8")
    exit_code, output = retrain(tmp_path, project)
    assert exit_code == 3, output
    assert said in output
    assert "Traceback" not in output
    assert_nothing_was_registered_or_moved(tmp_path)


def test_a_label_that_the_head_does_not_know_is_named(tmp_path: Path, project: dict[str, Any]) -> None:
    (tmp_path / "rows.csv").write_text(rows() + "a text,whether,train\n", encoding="utf-8")
    exit_code, output = retrain(tmp_path, changed(project, "heads.topic.labels", ["food", "weather"]))
    assert exit_code == 3, output
    assert "an unlisted label" in " ".join(output.split()) and "whether" in output
    assert "Rejected" in output
    assert_nothing_was_registered_or_moved(tmp_path)


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [(rows(), 0, "Data accepted"), (rows() + "a text,whether,train\n", 3, "Rejected")],
    ids=["accepted", "rejected"],
)
def test_validating_writes_the_report_trains_nothing_and_exits_by_the_verdict(
    tmp_path: Path, project: dict[str, Any], content: str, code: int, word: str
) -> None:
    (tmp_path / "rows.csv").write_text(content, encoding="utf-8")
    labelled = changed(project, "heads.topic.labels", ["food", "weather"])
    exit_code, output = retrain(tmp_path, labelled, "validate")
    assert exit_code == code and word in output, output
    assert ("an unlisted label" in " ".join(output.split())) == bool(code)
    for page in ("quality.html", "data_docs/index.html", "findings.csv", "findings.parquet"):
        assert list((tmp_path / "home" / "reports").glob(f"*/{page}")), page
    assert_nothing_was_registered_or_moved(tmp_path)


CASE = ROOT / "tests" / "cases" / "unknown_to_the_encoder"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("command", ["validate", "retrain"])
def test_texts_of_which_the_encoder_knows_no_word(tmp_path: Path, command: str) -> None:
    """They were accepted without a remark, and a model at chance was deployed."""
    shutil.copy(CASE / "rows.csv", tmp_path)
    exit_code, output = retrain(tmp_path, (CASE / "project.yaml").read_text(encoding="utf-8"), command)
    assert exit_code == 3, output
    said = " ".join(output.split())
    assert "100.0% of the tokens of `topic` are unknown to the encoder" in said
    assert "of 278 texts hold no other" in said and "choose an encoder of their language" in said
    [page] = (tmp_path / "home" / "reports").glob("*/quality.html")
    assert "Tokens that the encoder does not know" in page.read_text(encoding="utf-8")
    assert_nothing_was_registered_or_moved(tmp_path)


def test_texts_that_are_all_cut(tmp_path: Path, project: dict[str, Any]) -> None:
    """They were accepted with one remark, and a model at chance was deployed."""
    lines = [f"{'so and so ' * 5}{line}" for line in rows().splitlines()[1:]]
    (tmp_path / "rows.csv").write_text("text,topic,split\n" + "\n".join(lines) + "\n", encoding="utf-8")
    exit_code, output = retrain(tmp_path, project | {"train": {"max_length": 8}}, "validate")
    assert exit_code == 3, output
    said = " ".join(output.split())
    assert "100.0% of the texts of `topic` are cut" in said
    assert "60 of 60" in said and "raise `train.max_length`" in said


def test_broken_yaml(tmp_path: Path) -> None:
    exit_code, output = retrain(tmp_path, "name: [")
    assert exit_code == 2 and "not valid YAML" in output
    assert not (tmp_path / "home").exists()


def test_a_port_that_is_taken_is_said_before_anything_is_trained(
    tmp_path: Path, project: dict[str, Any]
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        exit_code, output = retrain(tmp_path, changed(project, "deploy.port", port))
    assert exit_code == 2 and str(port) in output, output
    assert_nothing_was_registered_or_moved(tmp_path)


def test_the_hub_that_cannot_be_reached_is_said(
    tmp_path: Path, project: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty-cache"))
    command = [
        sys.executable,
        "-c",
        "from model.train.backbone import resolve\nfrom model.spec import BackboneSpec\n",
    ]
    command[-1] += "resolve(BackboneSpec(name='distilbert-base-uncased'))"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "the hub cannot be reached and the encoder is not in the local cache" in done.stderr


def test_a_full_disk_leaves_no_half_dataset(tmp_path: Path) -> None:
    """The size of any file is limited, as a disk with no room would; the merge must say so and clean up."""
    (tmp_path / "rows.csv").write_text(rows(), encoding="utf-8")
    code = f"""
import resource, signal
from pathlib import Path
from model.spec import HeadSpec
from sources.dataset import build_dataset
from sources.spec import SourceSpec, SplitSpec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
source = SourceSpec(path="rows.csv", split_column="split", heads={{"topic": "topic"}})
base, heads = Path({str(tmp_path)!r}), {{"topic": HeadSpec(kind="multiclass")}}
try:
    build_dataset({{"rows": source}}, heads, SplitSpec(), base, base / "data")
except OSError as error:
    print("refused", type(error).__name__)
print(sorted(p.name for p in (base / "data").glob("*") if (p / "dataset.json").exists()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split("\n")[:2] == ["refused OSError", "[]"], done.stdout + done.stderr
