"""A project is copied and retrained in its new place; with another registry it ends before it trains."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from flows.outcome import Outcome
from release.home import Home
from release.journal import Journal
from release.releases import OtherRegistry
from tests.endtoend.test_retrain_flow import NAME, _project, _write_data
from tests.support.tiny_encoder import make_tiny_backbone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def retrained(config: Path) -> tuple[str, object]:
    from flows.retrain import retrain

    state = retrain(config, return_state=True)  # type: ignore[call-overload]
    return state.name, state.result(raise_on_failure=False)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """File → time of its last change and digest, of all but logs."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "logs" not in path.relative_to(folder).parts
    }


def test_a_copy_retrains_and_the_original_stays_as_it_is(
    tmp_path: Path, prefect_harness: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from release.targets.endpoint import ask, stop

    monkeypatch.delenv("HEADGATE_HOME", raising=False)
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    make_tiny_backbone(original / "encoder")
    _write_data(original)
    try:
        name, outcome = retrained(_project(original))
        assert isinstance(outcome, Outcome) and name == "Deployed", outcome
        before = tree(original)
        shutil.copytree(original, copy, symlinks=True)

        config = _project(copy)
        assert not stop(copy / ".headgate", NAME)
        name, outcome = retrained(config)
        assert isinstance(outcome, Outcome) and name == "Deployed", outcome
        assert outcome.registered["version"] == 2
        assert ask(copy / ".headgate", NAME, ["sun rain"])["version"] == 2
        home = Home(copy / ".headgate")
        said = [entry.detail for entry in Journal(home.journal / f"{NAME}.jsonl").entries()]
        assert [line for line in said if line.startswith("the registry lies in")]

        after = tree(original)
        changed = sorted(f for f in before.keys() | after.keys() if before.get(f) != after.get(f))
        assert not changed, changed
        assert ask(original / ".headgate", NAME, ["sun rain"])["version"] == 1

        raw = yaml.safe_load(config.read_text())
        raw["registry"] = {"tracking_uri": "sqlite:///another.sqlite"}
        config.write_text(yaml.safe_dump(raw))
        runs = len(list(home.runs.iterdir()))
        name, error = retrained(config)
        assert isinstance(error, OtherRegistry) and "headgate adopt CONFIG --local" in str(error)
        assert len(list(home.runs.iterdir())) == runs, "nothing was prepared, and nothing trained"
        assert (copy / "another.sqlite").is_file(), "looked for beside the configuration"
    finally:
        for place in (original, copy):
            stop(place / ".headgate", NAME)
