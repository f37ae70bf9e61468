"""The sections `notify` and `keep` of the configuration: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.config.load import load_project
from flows.config.messages import ConfigError

BASE = """
name: kitchen
heads: {topic: multiclass}
sources: {rows: {path: rows.csv, heads: {topic: topic}}}
"""


def load(folder: Path, text: str) -> object:
    path = folder / "project.yaml"
    path.write_text(BASE + text, encoding="utf-8")
    return load_project(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("notify: [{on: [failed]}]", "notify.0: give either `url_env` or `url_file`"),
        (
            "notify: [{on: [failed], url_env: A, url_file: b}]",
            "notify.0: give either `url_env` or `url_file`",
        ),
        (
            "notify: [{on: [], url_env: A}]",
            "notify.0.on: empty, so nothing is told; expected one of rejected",
        ),
        ("notify: [{on: [exploded], url_env: A}]", "saw \"exploded\", expected 'rejected', 'inconclusive'"),
        ("notify: [{on: [failed], url: x}]", "notify.0.url: unknown field"),
        ("keep: {versions: 1}", "keep.versions: saw 1, expected greater than or equal to 2"),
        ("keep: {cache_days: 0}", "keep.cache_days: saw 0"),
        (
            "keep: {versions: 3}\ndeploy: {keep_versions: 4}",
            "deploy.keep_versions, its older name, is 4; give one",
        ),
    ],
)
def test_what_can_not_be_is_said_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert expected in str(error.value)


@pytest.mark.parametrize("field", ["url_env", "url_file", "url"])
def test_an_address_is_never_in_the_configuration_nor_in_what_is_said_of_it(
    field: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, f"notify: [{{on: [failed], {field}: 'slack://T0ken/S3cret/Very'}}]")
    assert "a password or token" in str(error.value) and "S3cret" not in str(error.value)
    assert "write it into an environment variable that `url_env` names" in str(error.value)


def test_the_key_on_is_a_word(tmp_path: Path) -> None:
    """YAML 1.1 takes `on` for true."""
    project = load(tmp_path, "notify:\n  - on: [failed, not_run]\n    url_env: HOOK\n")
    assert project.notify[0].on == ("failed", "not_run")  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["keep: {versions: 3}", "deploy: {keep_versions: 3}"])
def test_the_number_of_versions_has_one_value_under_both_names(text: str, tmp_path: Path) -> None:
    project = load(tmp_path, text)
    assert (project.keep.versions, project.deploy.keep_versions) == (3, 3)  # type: ignore[attr-defined]
