"""The whole flow on a small slice of real text with the real packaged encoder, cut to one layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flows.outcome import Outcome


@pytest.mark.timeout(400)
def test_a_slice_of_real_text_goes_through_to_a_verdict(
    real_data: Path, tmp_path: Path, prefect_harness: None
) -> None:
    from flows.retrain import retrain
    from release.targets.endpoint import stop

    files = {"train": "Training", "validation": "Validation", "test": "Testing"}
    project = {
        "name": "slice",
        "backbone": {"name": "offline", "layers": 1},
        "heads": {"category": "multiclass", "tags": "multilabel"},
        "sources": {
            "bitext": {
                "path": {
                    split: str(real_data / "bitext" / f"Bitext_Sample_Customer_Service_{name}_Dataset.csv")
                    for split, name in files.items()
                },
                "text": "utterance",
                "heads": {
                    "category": "category",
                    "tags": {"column": "tags", "encoding": "letters", "drop": ["B", "N"]},
                },
            }
        },
        "train": {"epochs": 1, "max_length": 24, "learning_rate": 5e-4, "head_learning_rate": 5e-3},
        "gates": {
            "latency_requests": 60,
            "quiet_wait_s": 0,
            "margin": 0.2,
            "champion_margin": 0.2,
            "control_tolerance": 0.95,
        },
        "deploy": {"port": 0},
    }
    config = tmp_path / "slice.yaml"
    config.write_text(yaml.safe_dump(project), encoding="utf-8")
    try:
        state = retrain(config, home=tmp_path / "home", return_state=True)  # type: ignore[call-overload]
        outcome = state.result(raise_on_failure=False)
        assert isinstance(outcome, Outcome), outcome
        assert outcome.stage in ("deployed", "model_rejected"), outcome.reasons
        seen = {row["subject"]: row for row in outcome.rows}
        # 11 categories of a grammar-made corpus: chance is 0.09, and even one layer learns them.
        assert float(seen["category"]["shared"]) > 0.8
        assert float(seen["tags"]["shared"]) > 0.3
        page = Path(outcome.pages["Report"]).read_text(encoding="utf-8")
        assert "purchase" not in page, "no text of the data may stand in a report"
    finally:
        stop(tmp_path / "home", "slice")
