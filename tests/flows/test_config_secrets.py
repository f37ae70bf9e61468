"""A configuration that holds a password or token is refused, and no message repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from flows.cli.commands import main
from flows.config.load import load_project
from flows.config.messages import ConfigError

SECRET = "n0b0dys-business"
HEADS = {"intent": "intent"}


def project(folder: Path, place: str = "", value: Any = None) -> Path:
    raw: dict[str, Any] = {
        "name": "support",
        "heads": {"intent": "multiclass"},
        "sources": {"tickets": {"path": "tickets.csv", "heads": HEADS}},
    }
    *above, last = place.split(".")
    at = raw
    for part in above:
        at = at.setdefault(part, {})
    if last:
        at[last] = value
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("place", "value", "advice"),
    [
        ("registry.tracking_uri", f"http://me:{SECRET}@mlflow:5000", "MLFLOW_TRACKING_PASSWORD"),
        ("registry.tracking_uri", f"https://{SECRET}@mlflow:5000", "MLFLOW_TRACKING_TOKEN"),
        ("registry.tracking_uri", f"postgresql://me:{SECRET}@db/mlflow", "PGPASSWORD"),
        ("registry.tracking_uri", f"http://mlflow:5000/?token={SECRET}", "MLFLOW_TRACKING_TOKEN"),
        ("deploy.target", f"cloud:https://me:{SECRET}@host", "variables that the target's plugin reads"),
        ("deploy.target_config", {"api_key": SECRET}, "${VARIABLE}"),
        ("deploy.target_config", {"where": f"https://me:{SECRET}@host"}, "${VARIABLE}"),
        ("sources.tickets.path", f"https://me:{SECRET}@host/rows.csv", "HF_TOKEN"),
        ("backbone", f"https://me:{SECRET}@hub/encoder", "HF_TOKEN"),
        ("backbone", {"name": f"https://me:{SECRET}@hub/encoder"}, "HF_TOKEN"),
        ("runner", {"kind": "dask", "address": f"tls://me:{SECRET}@host:8786"}, "only you may read"),
        ("expectations.extra", [{"type": "x", "kwargs": {"a": [f"http://me:{SECRET}@h"]}}], "only you may"),
        ("registry.no_such_field", f"http://me:{SECRET}@h", "MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_it_names_the_field_and_where_the_secret_goes_instead(
    place: str, value: Any, advice: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(project(tmp_path, place, value))
    [problem] = caught.value.problems
    assert problem.startswith(place) and "***" in problem and advice in problem
    assert SECRET not in str(caught.value) and SECRET not in repr(caught.value)


def test_a_variable_is_how_a_target_gets_its_token(tmp_path: Path) -> None:
    loaded = load_project(project(tmp_path, "deploy.target_config", {"api_key": "${CLOUD_KEY}"}))
    assert loaded.deploy.target_config == {"api_key": "${CLOUD_KEY}"}


def test_names_that_only_look_like_one_are_fine(tmp_path: Path) -> None:
    path = project(tmp_path)
    raw = yaml.safe_load(path.read_text())
    raw["sources"]["tickets"]["heads"] = {"intent": {"column": "intent", "map": {"token": "secret"}}}
    raw["registry"] = {"tracking_uri": "postgresql://headgate@db/mlflow"}
    raw["deploy"] = {"token_file": "/etc/headgate/token"}
    path.write_text(yaml.safe_dump(raw))
    assert load_project(path).registry.tracking_uri == "postgresql://headgate@db/mlflow"


@pytest.mark.parametrize(
    "text", [f"a: [http://me:{SECRET}@h\nb: 1\n", f"- http://me:{SECRET}@h\n", f"http://me:{SECRET}@h\n"]
)
def test_a_file_that_is_no_configuration_does_not_show_it_either(text: str, tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_project(path)
    assert SECRET not in str(caught.value)


def test_the_command_line_refuses_it_too(tmp_path: Path) -> None:
    long = f"https://me:{SECRET}{'x' * 80}@hub/encoder"
    for arguments in (
        ["retrain", str(project(tmp_path)), "--backbone", long, "--home", str(tmp_path / "home")],
        [
            "follow",
            "toy",
            "--once",
            "--home",
            str(tmp_path / "home"),
            "--tracking-uri",
            f"http://:{SECRET}@h",
        ],
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 2, done.output
        assert SECRET not in done.output and "***" in done.output
