"""`headgate sweep`: a grid of loss weights, its front on a page, child runs in MLflow."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.outcome import Outcome


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A project with two heads, whose texts are nonsense; the packaged encoder cut to one layer."""
    random = np.random.default_rng(5)
    words = {"sun": "weather", "rain": "weather", "tea": "food", "soup": "food"}
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "tone"])
        for i in range(240):
            word = str(random.choice(list(words)))
            polite = bool(random.integers(2))
            text = f"{'please' if polite else 'now'} {word} number {i}"
            writer.writerow([text, words[word], "polite" if polite else "rude"])
    project = {
        "name": "pair",
        "backbone": {"name": "offline", "layers": 1},
        "heads": {
            "topic": {"kind": "multiclass", "weight": 0.5},
            "tone": {"kind": "multiclass", "weight": 0.5},
        },
        "sources": {
            "rows": {
                "path": str(tmp_path / "rows.csv"),
                "text": "text",
                "heads": {"topic": "topic", "tone": "tone"},
            }
        },
        "train": {"epochs": 1, "max_length": 16, "threads": 1},
        "expectations": {"near_duplicates": {"severity": "info"}},
    }
    path = tmp_path / "pair.yaml"
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_sweep_draws_its_front_and_logs_its_points(
    config: Path, tmp_path: Path, prefect_harness: None
) -> None:
    from mlflow import MlflowClient

    from flows.sweep import sweep
    from release.home import Home
    from release.registry.store import tracking_uri

    home = tmp_path / "home"
    state = sweep(config, home=home, points=2, return_state=True)  # type: ignore[call-overload]
    outcome = state.result(raise_on_failure=False)
    assert isinstance(outcome, Outcome), outcome
    assert state.name == "Swept" and outcome.stage == "swept" and outcome.exit_code == 0
    page = Path(outcome.pages["Trade-off"]).read_text(encoding="utf-8")
    assert page.count("<title>point ") == 3 and "chosen" in page
    assert "please" not in page, "no text of the data may stand on a page"

    client = MlflowClient(tracking_uri=tracking_uri(Home(home), None))
    experiment = client.get_experiment_by_name("pair")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parent = outcome.pages["MLflow run"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
    assert len(runs) == 4 and len(children) == 3
    swept = client.get_run(parent)
    assert swept.info.status == "FINISHED" and str(swept.info.run_name).endswith(" · swept")
    assert sorted(str(run.info.run_name) for run in children) == ["point 1", "point 2", "point 3"]
    for run in children:  # opened before they were trained, beside the sweep's own run
        assert swept.info.start_time < run.info.start_time < run.info.end_time <= swept.info.end_time
        losses = client.get_metric_history(run.info.run_id, "train/loss")
        assert losses and all(
            run.info.start_time - 60_000 < point.timestamp <= run.info.end_time for point in losses
        )
    weights = sorted(float(run.data.params["weight/topic"]) for run in children)
    assert weights == pytest.approx([0.1, 0.5, 0.9])
    assert all(0 <= run.data.metrics["best/tone"] <= 1 for run in children)
    assert any(file.path == "report/sweep.html" for file in client.list_artifacts(parent, "report"))
    assert sum(run.data.tags["headgate.chosen"] == "true" for run in children) == 1
    assert not list(home.rglob("sweep/*/fitted")), "weights of the points are not kept"


def test_a_sweep_finds_custom_rules_beside_its_configuration(
    config: Path, tmp_path: Path, prefect_harness: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the current folder: the rule rejects the data, so that nothing is trained."""
    from flows.sweep import sweep

    (tmp_path / "rules.py").write_text(
        "def expect_no_tea(rows):\n    return ~rows['text'].str.contains('tea')\n", encoding="utf-8"
    )
    project = yaml.safe_load(config.read_text(encoding="utf-8"))
    project["expectations"] |= {
        "modules": ["rules.py"],
        "extra": [{"type": "expect_no_tea", "severity": "critical"}],
    }
    config.write_text(yaml.safe_dump(project), encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    state = sweep(config, home=tmp_path / "home", return_state=True)  # type: ignore[call-overload]
    assert state.name == "Rejected", state.message
    assert "are not as `expect_no_tea` expects" in state.message
