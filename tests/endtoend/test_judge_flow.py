"""A candidate that the timings did not decide is timed and judged again, without training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.outcome import Outcome
from release.home import Home
from release.journal import Journal
from release.kept_evidence import EvidenceGone
from release.keys import signing_pair
from release.moves.judge_again import NotJudgedAgain
from release.registry.client import VERDICT_TAG, open_registry
from release.registry.judgement import JUDGEMENT_FILE, JUDGEMENT_PATH, Judgement, read_judgement
from release.releases import open_releases
from release.runs.judged import find_judged
from release.spec import RegistrySpec
from tests.endtoend.test_retrain_flow import NAME, _project, _write_data, run
from tests.support.rough_timing import ROUGH_TIMING
from tests.support.tiny_encoder import make_tiny_backbone

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, prefect_harness: None) -> Iterator[Path]:
    """A project whose first candidate was registered and not decided: its control had to be exactly 1."""
    from release.targets.endpoint import stop

    folder = tmp_path_factory.mktemp("project")
    make_tiny_backbone(folder / "encoder")
    _write_data(folder)
    config = _project(folder, gates={"control_tolerance": 1e-9, "latency_looks": 1})
    state, outcome = run(config)
    assert (state, outcome.stage) == ("Rejected", "model_rejected"), outcome.reasons
    assert any("the machine is too noisy" in reason for reason in outcome.reasons), outcome.reasons
    yield folder
    stop(folder / "home", NAME)


def judged(place: Path, version: int = 1) -> tuple[str, Outcome | Exception]:
    from flows.judge import judge

    state = judge(NAME, version, home=place / "home", return_state=True)  # type: ignore[call-overload]
    return state.name, state.result(raise_on_failure=False)


def record(place: Path) -> Judgement:
    releases = open_releases(Home(place / "home"), NAME, RegistrySpec())
    return read_judgement(releases.registry, releases.public_key, 1)


def as_if_the_machine_were_quieter(place: Path) -> None:
    """The record signed anew with gates that ask for less, in place of a machine that is quieter now."""
    from release.registry import judgement as records

    home = Home(place / "home")
    releases = open_releases(home, NAME, RegistrySpec())
    old = record(place)
    quieter = {"control_tolerance": ROUGH_TIMING["control_tolerance"], "latency_looks": 4}
    gates: dict[str, Any] = {**old.configuration["gates"], **quieter}
    made = records._Record(
        name=old.name,
        version=old.version,
        run=old.run,
        bundle_sha256=old.bundle_sha256,
        model_files=dict(old.model_files),
        verdict=old.verdict.to_json(),
        evidence=dict(old.evidence),
        configuration={**old.configuration, "gates": gates},
    )
    text = records._FORMAT.seal(made, releases.private_key).decode()
    run_id = releases.registry.run_of(1)
    releases.registry.client.log_text(run_id, text, f"{JUDGEMENT_PATH}/{JUDGEMENT_FILE}")


@pytest.mark.slow
def test_judged_again_it_is_deployed_and_the_former_record_stays(place: Path) -> None:
    from release.targets.endpoint import ask

    home = Home(place / "home")
    registry = open_registry(home, NAME, RegistrySpec())
    fitted = sorted(home.cache.glob("shared/*/fitted/weights.safetensors"))
    before = record(place)

    # The same gates on the same machine: still not exactly 1, a verdict of its own, nothing moved.
    state, outcome = judged(place)
    assert isinstance(outcome, Outcome), outcome
    assert (state, outcome.stage, outcome.exit_code) == ("Rejected", "model_rejected", 4)
    again = record(place)
    assert again.run != before.run and again.run.startswith(before.run)
    assert registry.pointed().aliases == {}  # type: ignore[union-attr]

    as_if_the_machine_were_quieter(place)
    state, outcome = judged(place)
    assert isinstance(outcome, Outcome), outcome
    assert (state, outcome.stage) == ("Deployed", "deployed"), outcome.reasons
    assert ask(home.root, NAME, ["tea bread soup milk"])["version"] == 1
    assert registry.pointed().aliases == {"champion": 1}  # type: ignore[union-attr]
    assert registry.version_tags(1)[VERDICT_TAG] == "pass" == record(place).verdict.outcome
    [kept_inputs] = (home.judged / NAME).glob("*.json")
    known = find_judged(home, NAME, kept_inputs.stem, signing_pair(home, NAME, RegistrySpec())[1])
    assert known is not None and known.judged().outcome == "pass"
    assert set(known.pages) == set(outcome.pages), "of this judgement"
    assert sorted(home.cache.glob("shared/*/fitted/weights.safetensors")) == fitted
    events = [(entry.event, entry.version) for entry in Journal(home.journal / f"{NAME}.jsonl").entries()]
    assert events.count(("judged again", 1)) == 2

    kept = registry.client.list_artifacts(registry.run_of(1), JUDGEMENT_PATH)
    assert {f"{JUDGEMENT_PATH}/{before.run}.json", f"{JUDGEMENT_PATH}/{again.run}.json"} <= {
        file.path for file in kept
    }
    pages = sorted(home.reports.glob("*/release.html"))
    assert len(pages) == 3 and outcome.pages["Report"] == str(pages[-1])

    state, refused = judged(place)
    assert isinstance(refused, NotJudgedAgain) and "passed its gates already" in str(refused)


def test_what_is_gone_is_named(place: Path) -> None:
    """Runs last: it takes a fitted folder away."""
    from release.kept_evidence import read_evidence

    old = record(place)
    folder = Home(place / "home").runs / old.run.partition("~")[0]
    kept = read_evidence(folder, old.evidence["scored_bundles"])
    assert set(kept.bundles) == {"shared", "baseline:topic", "baseline:marks"}
    with pytest.raises(EvidenceGone, match="baseline:topic: other bundles than were judged"):
        read_evidence(folder, {**old.evidence["scored_bundles"], "baseline:topic": "0" * 64})
    file = folder / "evidence" / "kept.json"
    text = file.read_text()
    file.write_text(json.dumps({**json.loads(text), "dataset": str(place / "nowhere")}))
    with pytest.raises(EvidenceGone, match=r"gone since it was judged: .*nowhere"):
        read_evidence(folder, old.evidence["scored_bundles"])
    file.unlink()
    with pytest.raises(EvidenceGone, match="headgate retrain"):
        read_evidence(folder, old.evidence["scored_bundles"])
